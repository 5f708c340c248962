package ircd

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"ircbridge/chat"
	"ircbridge/chat/chattest"
)

var update = flag.Bool("update", false, "rewrite the transcripts in testdata; commit only what you can explain")

// TestTranscripts runs each testdata/*.txt: what clients send, and every line
// that they get.
//
//	# a comment
//	@ password = x          configuration, see (*stage).configure
//	= alice CAPS…           alice connects and registers, unseen, with capabilities
//	alice >> LINE           alice sends a line, and all answer that will
//	alice >>> LINE          …together with her next line, in one write
//	alice << LINE           what she gets (written by -update)
//	alice << (closed)       her connection is closed
//	! sleep DURATION        time goes on
//	! fail OP TARGET ERROR  the network answers with an error of package chat
//	! rename A B WHY        and others: see (*stage).service
//
// A LINE in double quotes is a Go string; {x*300} repeats x.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no transcripts", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var got string
			synctest.Test(t, func(t *testing.T) { got = play(t, string(want), "") })
			if got == string(want) {
				return
			}
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			t.Errorf("%s differs (run with -update and look at the difference):\n%s", file, firstDifference(string(want), got))
		})
	}
}

func firstDifference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range max(len(w), len(g)) {
		a, b := "(end)", "(end)"
		if i < len(w) {
			a = w[i]
		}
		if i < len(g) {
			b = g[i]
		}
		if a != b {
			return fmt.Sprintf("line %d\nwant %s\ngot  %s", i+1, a, b)
		}
	}
	return ""
}

// stage is one transcript being played.
type stage struct {
	t         *testing.T
	ctx       context.Context
	cancel    context.CancelCauseFunc
	svc       *chattest.Service
	cfg       Config
	ask       func(context.Context, string) []string
	rehash    func() ([]string, error) // what REHASH finds; nil: there is nobody to ask
	entrances []*entrance
	from      func(name string) net.Addr // where a client is; nil: at the end of a pipe
	tls       bool                       // clients come over TLS
	srv       *Server                    // made by the first client
	wg        sync.WaitGroup

	actors map[string]*actor
	queued string // lines of >>>
	web    string // the subprotocol of WebSocket; "" without it
	out    strings.Builder

	mu    sync.Mutex
	fails map[string]error
}

func newStage(t *testing.T) *stage {
	s := &stage{t: t, actors: map[string]*actor{}, fails: map[string]error{}, cfg: defaultConfig()}
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	s.svc = chattest.NewService(chattest.Options{Fail: s.fail})
	s.cfg.ServerName = "irc.test"
	return s
}

func (s *stage) fail(op, target string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fails[op+" "+target]
}

func (s *stage) server() *Server {
	if s.srv == nil {
		srv, err := newServer(chat.Setup{Service: s.svc, Version: "1", Ask: s.ask, Reload: func() ([]string, error) { return s.rehash() }}, s.cfg)
		if err != nil {
			s.t.Fatal(err)
		}
		srv.entrances = s.entrances
		if s.rehash == nil {
			srv.reload = nil
		}
		s.srv = srv
	}
	return s.srv
}

// nowhere is a listener that is not there, with its address.
type nowhere string

func (n nowhere) Accept() (net.Conn, error) { return nil, net.ErrClosed }
func (n nowhere) Close() error              { return nil }
func (n nowhere) Addr() net.Addr            { return n }
func (n nowhere) Network() string           { return "tcp" }
func (n nowhere) String() string            { return string(n) }

// sesame is the hash of the password "sesame", of the least cost.
const sesame = "$2a$04$2mx.cXA74Ds4f8oM./Q3JOEMH0ovhlQ.D3tf92O4tEmkVOCxPObH."

// located is a connection from somewhere.
type located struct {
	net.Conn
	from net.Addr
}

func (l located) RemoteAddr() net.Addr { return l.from }

// actor is the client's end of a connection.
type actor struct {
	nc net.Conn
	mu sync.Mutex
	in []string
}

func (s *stage) actor(name string) *actor {
	if a := s.actors[name]; a != nil {
		return a
	}
	client, server := net.Pipe()
	if s.from != nil {
		server = located{server, s.from(name)}
	}
	if s.tls {
		cert, err := selfSigned("irc.test", time.Now())
		if err != nil {
			s.t.Fatal(err)
		}
		client = tls.Client(client, &tls.Config{InsecureSkipVerify: true})
		server = tls.Server(server, &tls.Config{Certificates: []tls.Certificate{*cert}})
	}
	a := &actor{nc: client}
	s.actors[name] = a
	srv := s.server()
	if s.web != "" {
		s.wg.Go(func() { s.serveWeb(server) })
		l, err := newLineSocket(client, s.web)
		if err != nil {
			s.t.Fatal(err)
		}
		a.nc = l
	} else {
		s.wg.Go(func() { srv.ServeConn(s.ctx, server) })
	}
	s.wg.Go(a.read)
	return a
}

func (a *actor) read() {
	r := bufio.NewReader(a.nc)
	for {
		line, err := r.ReadString('\n')
		a.mu.Lock()
		if err != nil {
			a.in = append(a.in, "(closed)")
			a.mu.Unlock()
			return
		}
		if body, ok := strings.CutSuffix(line, "\r\n"); ok {
			a.in = append(a.in, body)
		} else {
			a.in = append(a.in, "(no CRLF) "+line)
		}
		a.mu.Unlock()
	}
}

func (a *actor) take() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	lines := a.in
	a.in = nil
	return lines
}

func (a *actor) send(text string) {
	a.nc.SetWriteDeadline(time.Now().Add(time.Second))
	a.nc.Write([]byte(text)) // a closed connection shows in what is read
}

// settle waits until nothing moves, and writes what everybody got.
func (s *stage) settle() {
	synctest.Wait()
	names := slices.Sorted(maps.Keys(s.actors))
	again := false
	for _, name := range names {
		for _, line := range s.actors[name].take() {
			fmt.Fprintf(&s.out, "%s << %s\n", name, shown(line))
			again = again || strings.HasPrefix(line, "ERROR ")
		}
	}
	if again { // the close comes a moment later
		time.Sleep(2 * lingerTime)
		s.settle()
	}
}

// shown quotes a line that has what an editor would not show.
func shown(line string) string {
	if !utf8.ValidString(line) || strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return strconv.Quote(line)
	}
	return line
}

var repeat = regexp.MustCompile(`\{([^{}]+)\*(\d+)\}`)

// spoken turns a LINE of a transcript into bytes.
func (s *stage) spoken(line string) string {
	if strings.HasPrefix(line, `"`) {
		text, err := strconv.Unquote(line)
		if err != nil {
			s.t.Fatalf("%s: %v", line, err)
		}
		line = text
	}
	return repeat.ReplaceAllStringFunc(line, func(m string) string {
		parts := repeat.FindStringSubmatch(m)
		n, _ := strconv.Atoi(parts[2])
		return strings.Repeat(parts[1], n)
	})
}

var (
	sends = regexp.MustCompile(`^(\w+) (>>>?) (.*)$`)
	gets  = regexp.MustCompile(`^\w+ << `)
)

// play runs a transcript and returns it with what really came.
// With a subprotocol all clients come over WebSocket.
func play(t *testing.T, text, web string) string {
	return playWith(t, text, func(s *stage) { s.web = web })
}

// playWith is play on a stage that has been changed before.
func playWith(t *testing.T, text string, change func(*stage)) string {
	s := newStage(t)
	change(s)
	for _, line := range strings.SplitAfter(text, "\n") {
		line = strings.TrimSuffix(line, "\n")
		if gets.MatchString(line) {
			continue
		}
		s.out.WriteString(line + "\n")
		switch m := sends.FindStringSubmatch(line); {
		case m != nil:
			s.queued += s.spoken(m[3]) + "\r\n"
			if m[2] == ">>" {
				s.actor(m[1]).send(s.queued)
				s.queued = ""
				s.settle()
			}
		case strings.HasPrefix(line, "= "):
			s.register(strings.Fields(line)[1:])
		case strings.HasPrefix(line, "@ "):
			s.configure(line[2:])
		case strings.HasPrefix(line, "! "):
			s.service(strings.Fields(line)[1:], line[2:])
			s.settle()
		case line != "" && !strings.HasPrefix(line, "#"):
			t.Fatalf("no such line in a transcript: %s", line)
		}
	}
	for _, a := range s.actors {
		a.nc.Close()
	}
	s.wg.Wait()
	return strings.TrimSuffix(s.out.String(), "\n")
}

func (s *stage) register(words []string) {
	name := words[0]
	a := s.actor(name)
	if len(words) > 1 {
		a.send("CAP REQ :" + strings.Join(words[1:], " ") + "\r\nCAP END\r\n")
	}
	a.send("NICK " + name + "\r\nUSER " + name + " 0 * :" + strings.ToUpper(name) + "\r\n")
	synctest.Wait()
	if got := strings.Join(a.take(), "\n"); !strings.Contains(got, " 001 ") {
		s.t.Fatalf("%s could not register: %s", name, got)
	}
}

func (s *stage) configure(line string) {
	key, value, _ := strings.Cut(line, " = ")
	n, _ := strconv.Atoi(value)
	switch key {
	case "server_name":
		s.cfg.ServerName = value
	case "password":
		s.cfg.Password = value
	case "motd":
		s.cfg.MOTD = strings.ReplaceAll(value, `\n`, "\n")
	case "channels":
		s.cfg.Limits.Channels = n
	case "max":
		s.cfg.Limits.MaxConnections = n
	case "per_address":
		s.cfg.Limits.PerAddress = n
	case "connects":
		s.cfg.Limits.Connects = n
	case "nick_changes":
		s.cfg.Limits.NickChanges = n
	case "line_rate": // with a burst of ten, for all clients
		s.cfg.Limits.LineRate, s.cfg.Limits.LineBurst, s.cfg.Limits.LimitLoopback = float64(n), 10, true
	case "admin":
		s.cfg.Admin = strings.Split(value, `\n`)
	case "oper": // by the password "sesame"
		s.cfg.Opers = append(s.cfg.Opers, Oper{Name: value, Password: sesame})
	case "from": // where all clients connect from
		s.from = func(string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(value), Port: 40000} }
	case "tls": // all clients from here on
		s.tls = value == "on"
	case "port": // where it listens, as STATS shows it
		s.entrances = append(s.entrances, &entrance{Listener: nowhere(value)})
	case "ask": // what the node answers, after the question; with one word nothing
		s.ask = func(_ context.Context, question string) []string {
			if !strings.Contains(value, " ") || strings.HasPrefix(question, "what") {
				return nil
			}
			return append([]string{question}, strings.Split(value, `\n`)...)
		}
	case "accounts":
		s.svc = chattest.NewService(chattest.Options{Fail: s.fail, Accounts: true})
	default:
		s.t.Fatalf("no configuration %q", key)
	}
}

func (s *stage) must(ok bool, what string) {
	if !ok {
		s.t.Fatalf("! %s: no such user", what)
	}
}

func (s *stage) inject(nick string, e chat.Event) { s.must(s.svc.Inject(nick, e), nick) }

// service plays the network's part.
func (s *stage) service(w []string, line string) {
	rest := func(n int) string { return strings.Join(w[n:], " ") }
	alice := func() chat.Profile {
		return chat.Profile{Session: "far", Nick: "far", Username: "f", Host: "far.test", Server: "far.test", Realname: "Far Away"}
	}
	switch w[0] {
	case "redact": // of a message to a channel, by far
		s.inject(w[1], chat.Redacted{Target: w[2], ID: w[3], By: "f!f@far.test", Reason: rest(4), At: time.Now()})
	case "sleep":
		d, err := time.ParseDuration(w[1])
		if err != nil {
			s.t.Fatal(err)
		}
		time.Sleep(d)
	case "fail":
		err := chatErrors(s.t)[w[3]]
		if err == nil {
			s.t.Fatalf("no error %s", w[3])
		}
		s.mu.Lock()
		s.fails[w[1]+" "+strings.Trim(w[2], "-")] = fmt.Errorf("made to fail: %w", err)
		s.mu.Unlock()
	case "hold":
		s.svc.Hold()
	case "release":
		s.svc.Release()
	case "rename":
		s.must(s.svc.Rename(w[1], w[2], rest(3)), line)
	case "notice":
		s.inject(w[1], chat.Notice{Text: rest(2), At: time.Now()})
	case "say": // a message of another front-end
		s.inject(w[1], chat.Message{ID: "x1", At: time.Now(), From: alice(), Target: w[2], Text: s.spoken(rest(3))})
	case "changed": // of far, or of the receiver's own session
		was := alice()
		if w[2] != "far" {
			was.Session, was.Nick = chat.SessionID(w[2]), w[1]
		}
		is := was
		for _, change := range w[3:] {
			field, value, _ := strings.Cut(change, "=")
			*map[string]*string{"user": &is.Username, "host": &is.Host, "account": &is.Account, "name": &is.Realname, "was": &was.Account}[field] = value
		}
		s.inject(w[1], chat.ProfileChanged{Old: was, New: is, At: time.Now()})
	case "view":
		gone := alice()
		gone.Nick, gone.Session = "gone", "gone"
		s.inject(w[1], chat.ViewChanged{
			Channel: w[2], By: "far.test", At: time.Now(), Left: []chat.Profile{gone},
			Came:  []chat.Member{{Profile: alice(), Status: chat.Operator | chat.Voice}},
			Modes: []chat.ModeChange{{Mode: 'o', Arg: w[1]}, {Add: true, Mode: 'n'}},
			Topic: &chat.Topic{Text: "theirs", By: "f!f@far.test", At: time.Now()},
		})
	case "split": // of these users of the node far.test
		e := chat.Split{Here: "0123456789ab.node.ircbridge", There: "far.test", At: time.Now()}
		for _, nick := range w[2:] {
			e.Who = append(e.Who, farUser(nick))
		}
		s.inject(w[1], e)
	case "rejoin": // #channel:@nick …
		e := chat.Rejoined{Here: "0123456789ab.node.ircbridge", There: "far.test", At: time.Now()}
		for _, word := range w[2:] {
			channel, nick, _ := strings.Cut(word, ":")
			a := chat.Arrival{Channel: channel}
			for ; strings.IndexByte(chat.StatusSigns, nick[0]) >= 0; nick = nick[1:] {
				a.Status |= chat.StatusOf(chat.StatusModes[strings.IndexByte(chat.StatusSigns, nick[0])])
			}
			a.Profile = farUser(strings.TrimSuffix(nick, "(away)"))
			if strings.HasSuffix(nick, "(away)") {
				a.Away = "gone fishing"
			}
			e.Came = append(e.Came, a)
		}
		s.inject(w[1], e)
	case "far": // a user of another node
		_, err := s.svc.AddNode(chat.Node{}).Open(s.ctx, chat.User{Nick: w[1], Username: w[1], Realname: "Far Away"})
		s.must(err == nil, line)
	case "rehash": // what it finds: a mistake, or what needs a restart
		found := rest(1)
		s.rehash = func() ([]string, error) {
			if strings.Contains(found, ":") {
				return nil, errors.New(found)
			}
			return strings.Fields(found), nil
		}
	case "reload": // the configuration, without an operator
		next := s.cfg
		next.Opers = slices.DeleteFunc(slices.Clone(next.Opers), func(o Oper) bool { return o.Name == w[2] })
		_, err := s.server().Reload(decoded(func(c *Config) { *c = next }))
		s.must(err == nil, line)
	case "quit":
		s.inject(w[1], chat.Quit{Who: farUser(w[2]), Reason: rest(3), At: time.Now()})
	case "stop":
		s.cancel(errors.New(rest(1)))
	case "end":
		s.svc.Stop(rest(1))
	case "eof":
		s.actors[w[1]].nc.Close()
	default:
		s.t.Fatalf("no such action: %s", line)
	}
}

// farUser is a user of another node.
func farUser(nick string) chat.Profile {
	return chat.Profile{
		Session: chat.SessionID(nick), Nick: nick, Username: nick, Host: "far.test", Server: "far.test", Realname: strings.ToUpper(nick), Account: "acc",
	}
}

// TestTranscriptsCoverAll asks for every command, capability and numeric in
// some transcript.
func TestTranscriptsCoverAll(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.txt")
	var all bytes.Buffer
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	text := all.String()
	for name := range commandTable() {
		if !regexp.MustCompile(`(?m)^\w+ >>>? ` + name + `\b`).MatchString(text) {
			t.Errorf("no transcript sends %s", name)
		}
	}
	for _, k := range capabilities {
		if !regexp.MustCompile(`(?m)^\w+ << .* ACK :.*` + k.name).MatchString(text) {
			t.Errorf("no transcript enables %s", k.name)
		}
	}
	for code, name := range numericCodes(t) {
		if !regexp.MustCompile(`(?m)^\w+ << (@\S+ )?:irc\.test ` + code + ` `).MatchString(text) {
			t.Errorf("no transcript shows %s %s", code, name)
		}
	}
}
