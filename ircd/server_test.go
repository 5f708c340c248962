package ircd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ircbridge/chat"
	"ircbridge/chat/chattest"
)

// decoded makes the Decode of a Setup out of a change of the defaults.
func decoded(change func(*Config)) func(any) error {
	return func(v any) error {
		change(v.(*Config))
		return nil
	}
}

func TestConfigIsRefusedInOneLineWithTheRemedy(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*Config)
		want   []string
	}{
		"no port":      {func(c *Config) { c.Listen = []string{"127.0.0.1"} }, []string{`listen = "127.0.0.1"`, "HOST:PORT"}},
		"open":         {func(c *Config) { c.Listen = []string{"0.0.0.0:6667"} }, []string{"0.0.0.0:6667", "password", "insecure = true"}},
		"open, any":    {func(c *Config) { c.Listen = []string{":6667"} }, []string{`":6667"`, "127.0.0.1"}},
		"open, name":   {func(c *Config) { c.Listen = []string{"chat.example.org:6667"} }, []string{"insecure = true"}},
		"server name":  {func(c *Config) { c.ServerName = "nodot" }, []string{"server_name", "dot"}},
		"server space": {func(c *Config) { c.ServerName = "a b.c" }, []string{"server_name"}},
		"network":      {func(c *Config) { c.Network = "my network" }, []string{"network"}},
		"connections":  {func(c *Config) { c.Limits.MaxConnections = 0 }, []string{"max_connections"}},
		"registration": {func(c *Config) { c.Limits.Registration = 30 }, []string{"registration", "1s"}},
		"ping":         {func(c *Config) { c.Limits.PingTimeout = -1 }, []string{"ping_timeout"}},
		"rate":         {func(c *Config) { c.Limits.LineRate = -1 }, []string{"line_rate"}},
		"burst":        {func(c *Config) { c.Limits.LineBurst = 0 }, []string{"line_burst"}},
		"nick changes": {func(c *Config) { c.Limits.NickChanges = -1 }, []string{"nick_changes", "minute"}},
		"admin":        {func(c *Config) { c.Admin = make([]string, 4) }, []string{"admin", "3 lines"}},
		"admin line":   {func(c *Config) { c.Admin = []string{"a\nb"} }, []string{"admin", "UTF-8"}},
		"channels":     {func(c *Config) { c.Limits.Channels = 101 }, []string{"channels", "100"}},
		"oper name":    {func(c *Config) { c.Opers = []Oper{{Name: "a b", Password: sesame}} }, []string{"name", `"a b"`}},
		"oper twice":   {func(c *Config) { c.Opers = []Oper{{Name: "a", Password: sesame}, {Name: "a", Password: sesame}} }, []string{"twice"}},
		"oper plain":   {func(c *Config) { c.Opers = []Oper{{Name: "a", Password: "secret"}} }, []string{"password", "ircbridge hash"}},
		"oper nothing": {func(c *Config) { c.Opers = []Oper{{Name: "a"}} }, []string{"ircbridge hash"}},
		"oper cost":    {func(c *Config) { c.Opers = []Oper{{Name: "a", Password: "$2a$20" + sesame[6:]}} }, []string{"cost 20"}},
		"oper cert":    {func(c *Config) { c.Opers = []Oper{{Name: "a", Certificate: "AB:CD"}} }, []string{"certificate", "64"}},
		"oper no TLS":  {func(c *Config) { c.Opers = []Oper{{Name: "a", Certificate: strings.Repeat("ab", 32)}} }, []string{"tls_listen"}},
		"opers":        {func(c *Config) { c.Opers = make([]Oper, 101) }, []string{"100"}},
		"web open":     {func(c *Config) { c.WebsocketListen = []string{"0.0.0.0:80"} }, []string{`websocket_listen = "0.0.0.0:80"`, "insecure"}},
		"web no port":  {func(c *Config) { c.WebsocketTLSListen = []string{"0.0.0.0"} }, []string{"websocket_tls_listen", "HOST:PORT"}},
		"origin":       {func(c *Config) { c.WebsocketOrigins = []string{"chat.example"} }, []string{"websocket_origins", "https://"}},
		"proxied":      {func(c *Config) { c.Proxied = []string{"127.0.0.1:1"} }, []string{"proxied", "127.0.0.1:1"}},
		"proxies":      {func(c *Config) { c.Proxies = []string{"proxy.example"} }, []string{"proxies", "10.0.0.0/8"}},
		"no proxies": {func(c *Config) {
			c.WebsocketListen, c.Proxied, c.Proxies = []string{"127.0.0.1:1"}, []string{"127.0.0.1:1"}, nil
		}, []string{"proxies"}},
		"motd": {func(c *Config) { c.MOTD = strings.Repeat("x\n", 101) }, []string{"motd", "100"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(chat.Setup{Service: chattest.NewService(chattest.Options{}), Decode: decoded(test.change)})
			if err == nil {
				t.Fatal("accepted")
			}
			for _, want := range append(test.want, "[irc") {
				if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
					t.Errorf("%v: does not say %q", err, want)
				}
			}
		})
	}
}

func TestConfigThatIsMeant(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"defaults":  func(*Config) {},
		"insecure":  func(c *Config) { c.Listen, c.Insecure = []string{"0.0.0.0:0"}, true },
		"password":  func(c *Config) { c.Listen, c.Password = []string{"0.0.0.0:0"}, "x" },
		"loopback":  func(c *Config) { c.Listen = []string{"127.0.0.2:0"} },
		"localhost": func(c *Config) { c.Listen = []string{"localhost:0"} },
	} {
		t.Run(name, func(t *testing.T) {
			f, err := New(chat.Setup{Service: chattest.NewService(chattest.Options{}), Decode: decoded(change)})
			if err != nil {
				t.Fatal(err)
			}
			if err := f.Listen(); err != nil {
				t.Fatal(err)
			}
			defer f.(*Server).closeListeners()
			if hints := strings.Join(f.Hints(), "\n"); !strings.Contains(hints, "irssi -c ") || !strings.Contains(hints, "/server add ") || strings.Contains(hints, "0.0.0.0") {
				t.Error(hints)
			}
		})
	}
	off, err := New(chat.Setup{Service: chattest.NewService(chattest.Options{}), Decode: decoded(func(c *Config) { c.Listen = []string{} })})
	if off != nil || err != nil {
		t.Error("an empty list of addresses turns IRC off:", off, err)
	}
	broken := errors.New("config.toml:3: unknown field")
	if _, err := New(chat.Setup{Decode: func(any) error { return broken }}); !errors.Is(err, broken) {
		t.Error(err)
	}
}

func TestBusyPorts(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	named, err := New(chat.Setup{
		Service: chattest.NewService(chattest.Options{}),
		Decode:  decoded(func(c *Config) { c.Listen = []string{"127.0.0.1:0", taken.Addr().String()} }),
	})
	if err != nil {
		t.Fatal(err)
	}
	err = named.Listen()
	if err == nil || !strings.Contains(err.Error(), taken.Addr().String()) || !strings.Contains(err.Error(), "choose another") {
		t.Error("a busy port that was named:", err)
	}
	// The default port moves, whoever has it: two servers never share one.
	first, second := listening(t, nil), listening(t, nil)
	a, b := first.Addrs()[0].String(), second.Addrs()[0].String()
	if a == b {
		t.Errorf("both listen on %s", a)
	}
	_, port, _ := net.SplitHostPort(b)
	if hints := strings.Join(second.Hints(), "\n"); !strings.Contains(hints, "busy") || !strings.Contains(hints, port) {
		t.Errorf("nothing is said of the move to %s: %s", port, hints)
	}
}

// listening makes a Server that listens, on the default port without listen.
func listening(tb testing.TB, change func(*Config)) *Server {
	tb.Helper()
	f, err := New(chat.Setup{Service: chattest.NewService(chattest.Options{}), Version: "1", Decode: decoded(func(c *Config) {
		if change != nil {
			c.Listen = []string{"127.0.0.1:0"}
			change(c)
		}
	})})
	if err == nil {
		err = f.Listen()
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(f.(*Server).closeListeners)
	return f.(*Server)
}

// chatSetup is that of a server on a network of its own.
func chatSetup() chat.Setup {
	return chat.Setup{Service: chattest.NewService(chattest.Options{}), Version: "1"}
}

// serving starts a Server; it is stopped, and awaited, at the end of the test.
func serving(tb testing.TB, change func(*Config)) (*Server, context.CancelCauseFunc) {
	tb.Helper()
	s := listening(tb, change)
	ctx, cancel := context.WithCancelCause(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	tb.Cleanup(func() {
		cancel(nil)
		select {
		case err := <-done:
			if err != nil {
				tb.Error("Serve:", err)
			}
		case <-time.After(10 * time.Second):
			tb.Error("Serve does not return")
		}
	})
	return s, cancel
}

// client is a connection to a Server over loopback.
type client struct {
	tb testing.TB
	net.Conn
	r *bufio.Reader
}

func dial(tb testing.TB, s *Server) *client {
	tb.Helper()
	nc, err := net.Dial("tcp", s.Addrs()[0].String())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(30 * time.Second))
	return &client{tb, nc, bufio.NewReader(nc)}
}

func (c *client) send(lines ...string) {
	c.tb.Helper()
	if _, err := io.WriteString(c, strings.Join(lines, "\r\n")+"\r\n"); err != nil {
		c.tb.Fatal(err)
	}
}

// until reads lines up to one that contains text, and returns it.
func (c *client) until(text string) string {
	c.tb.Helper()
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			c.tb.Fatalf("waiting for %q: %v", text, err)
		}
		if strings.Contains(line, text) {
			return line
		}
	}
}

func (c *client) register(nick string) *client {
	c.tb.Helper()
	c.send("NICK "+nick, "USER u 0 * :r")
	c.until(" 422 ")
	return c
}

func TestAThousandSilentConnectsDisturbNobody(t *testing.T) {
	const silent = 1000
	s, _ := serving(t, func(c *Config) { c.Limits.MaxConnections = silent + 2 })
	talker := dial(t, s).register("talker")
	for range silent {
		dial(t, s)
	}
	start := time.Now()
	for i := range 1000 {
		talker.send(fmt.Sprint("PING ", i))
		talker.until(fmt.Sprint("PONG ", s.name, " :", i))
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("100 PINGs took %v beside %d silent connections", took, silent)
	}
	dial(t, s).register("newcomer")
	over := dial(t, s)
	over.until("ERROR :Too many connections")
	if _, err := over.r.ReadByte(); err != io.EOF {
		t.Error("one over the limit is closed:", err)
	}
}

func TestAClientThatDoesNotReadIsCutOffAndNobodyWaits(t *testing.T) {
	s, _ := serving(t, func(c *Config) { c.Limits.WriteTimeout = time.Second })
	talker, listener, deaf := dial(t, s).register("talker"), dial(t, s).register("listener"), dial(t, s).register("deaf")
	for _, c := range []*client{talker, listener, deaf} {
		c.send("JOIN #a")
		c.until(" 366 ")
	}
	deaf.Conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	text := strings.Repeat("x", 400)
	start := time.Now()
	for i := 0; ; i++ {
		talker.send("PRIVMSG #a :"+text, fmt.Sprint("PING ", i))
		listener.until(text)
		if line := talker.until(" "); strings.Contains(line, "QUIT") || strings.Contains(talker.untilPong(i, line), "QUIT") {
			break
		}
		if time.Since(start) > 25*time.Second {
			t.Fatalf("still there after %d messages", i)
		}
	}
}

// untilPong reads up to the PONG of PING n and returns the lines on the way.
func (c *client) untilPong(n int, first string) string {
	c.tb.Helper()
	all := first
	for line := first; !strings.HasSuffix(line, fmt.Sprintf(" PONG %s :%d\r\n", strings.Fields(line)[0][1:], n)); {
		line = c.until(" ")
		all += line
	}
	return all
}

func TestWhatWasSentBeforeAHalfCloseIsDone(t *testing.T) {
	s, _ := serving(t, func(*Config) {})
	listener := dial(t, s).register("listener")
	piped := dial(t, s)
	piped.send("NICK piped", "USER u 0 * :r", "PRIVMSG listener :from a pipe", "PRIVMSG nobody :x")
	piped.Conn.(*net.TCPConn).CloseWrite()
	listener.until("PRIVMSG listener :from a pipe")
	piped.until(" 401 ")
	piped.until("ERROR :Closing link (Connection closed)")
	if _, err := piped.r.ReadByte(); err != io.EOF {
		t.Error("not closed:", err)
	}
}

func TestStopTellsEverybodyAndReturnsSoon(t *testing.T) {
	s, cancel := serving(t, func(*Config) {})
	registered, silent, deaf := dial(t, s).register("a"), dial(t, s), dial(t, s).register("deaf")
	registered.send("JOIN #a")
	registered.until(" 366 ")
	deaf.Conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	go func() { // fills every buffer on the way
		for {
			if _, err := io.WriteString(deaf, "VERSION\r\n"); err != nil {
				return
			}
		}
	}()
	start := time.Now()
	cancel(errors.New("node stopped"))
	registered.until("ERROR :Closing link (node stopped)")
	silent.until("ERROR :Closing link (node stopped)")
	for _, c := range []*client{registered, silent} {
		if _, err := c.r.ReadByte(); err != io.EOF {
			t.Error("not closed:", err)
		}
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}

// backwards is a context that tells of its end the one who asked last first, and
// lets everything settle before it goes on.
type backwards struct {
	context.Context
	done chan struct{}
	tell []func()
}

func (b *backwards) Done() <-chan struct{} { return b.done }

func (b *backwards) Err() error {
	select {
	case <-b.done:
		return context.Canceled
	default:
		return nil
	}
}

func (b *backwards) AfterFunc(f func()) (stop func() bool) {
	b.tell = append(b.tell, f)
	return func() bool { return true }
}

// In whatever order a connection learns that the server ends, it does not go on
// to wait for its client.
func TestStopEndsAConnectionInAnyOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newPipes(t, func(*Config) {})
		ctx := &backwards{Context: context.Background(), done: make(chan struct{})}
		near, far := net.Pipe()
		s.wg.Go(func() { s.ServeConn(ctx, far) })
		c := &client{t, near, bufio.NewReader(near)}
		c.register("al")
		all := readAll(c.r)
		start := time.Now()
		close(ctx.done)
		for _, f := range slices.Backward(ctx.tell) {
			f()
			synctest.Wait()
		}
		if text := <-all; !strings.Contains(text, "ERROR :Closing link (node stopped)") {
			t.Errorf("the client got %q", text)
		}
		s.wg.Wait()
		if took := time.Since(start); took > goodbyeTimeout {
			t.Errorf("took %v", took)
		}
	})
}

func TestGarbageEndsNothing(t *testing.T) {
	s, _ := serving(t, func(*Config) {})
	c := dial(t, s)
	c.send(strings.Repeat("\xff\x00\r", 10000))
	c.until(" 417 ")
	c.send("GET / HTTP/1.1", "Host: localhost", "")
	c.until(" 421 * GET ")
	c.send("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
	c.until(" FAIL * ")
	c.register("patient")
}

func TestLineRate(t *testing.T) {
	b := newBucket(1000, 3)
	start := time.Now()
	for range 3 {
		b.take(context.Background())
	}
	for range 20 {
		b.take(context.Background())
	}
	if took := time.Since(start); took < 15*time.Millisecond {
		t.Errorf("23 lines with a burst of 3 and 1000 a second took only %v", took)
	}
	slow := newBucket(0.001, 1)
	slow.take(context.Background())
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if slow.take(ctx) {
		t.Error("take waits for its turn when its connection has ended")
	}
	srv := listening(t, func(*Config) {})
	a, _ := net.Pipe()
	if newConn(srv, arrived(a)).bucket != nil {
		t.Error("local clients are limited by default")
	}
	srv = listening(t, func(c *Config) { c.Limits.LimitLoopback = true })
	if newConn(srv, arrived(a)).bucket == nil {
		t.Error("limit_loopback has no effect")
	}
}

func TestTheWriterGivesUpOnAClientThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		svc := chattest.NewService(chattest.Options{})
		s, err := newServer(chat.Setup{Service: svc}, defaultConfig())
		if err != nil {
			t.Fatal(err)
		}
		near, far := net.Pipe()
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.ServeConn(context.Background(), far)
		}()
		io.WriteString(near, "NICK deaf\r\nUSER u 0 * :r\r\n")
		synctest.Wait()
		if n := svc.Counts().LocalUsers; n != 1 {
			t.Fatalf("%d users", n)
		}
		start := time.Now()
		<-done
		if took := time.Since(start); took < s.cfg.Limits.WriteTimeout || took > s.cfg.Limits.WriteTimeout+goodbyeTimeout+time.Second {
			t.Errorf("cut off after %v", took)
		}
		if n := svc.Counts().LocalUsers; n != 0 {
			t.Errorf("%d users are left", n)
		}
	})
}

func TestAnAnswerThatComesTooLateIsShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		svc := chattest.NewService(chattest.Options{})
		s, err := newServer(chat.Setup{Service: lateService{svc}}, defaultConfig())
		if err != nil {
			t.Fatal(err)
		}
		near, far := net.Pipe()
		var wg sync.WaitGroup
		wg.Go(func() { s.ServeConn(context.Background(), far) })
		c := &client{t, near, bufio.NewReader(near)}
		go io.WriteString(near, "NICK a\r\nUSER u 0 * :r\r\nJOIN #a\r\nNICK b\r\nPING 1\r\n")
		c.until(" 437 a #a ")
		c.until(":a!u@0123456789ab.node.ircbridge JOIN #a\r\n")
		c.until(" 366 ")
		c.until(" 437 a b ")
		c.until(":a!u@0123456789ab.node.ircbridge NICK :b\r\n")
		c.until(" PONG ")
		near.Close()
		wg.Wait()
	})
}

// lateService does what JOIN and NICK ask for, but answers too late.
type lateService struct{ *chattest.Service }

func (l lateService) Open(ctx context.Context, u chat.User) (chat.Session, error) {
	s, err := l.Service.Open(ctx, u)
	return lateSession{s}, err
}

type lateSession struct{ chat.Session }

func (l lateSession) Join(ctx context.Context, channel, key string) (chat.Channel, error) {
	l.Session.Join(ctx, channel, key)
	<-ctx.Done()
	return chat.Channel{}, ctx.Err()
}

func (l lateSession) SetNick(ctx context.Context, nick string) error {
	l.Session.SetNick(ctx, nick)
	<-ctx.Done()
	return ctx.Err()
}
