package script

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// fakeServer is a small IRC server with channels, and with commands that
// misbehave on demand: DROP makes it lose the next message to a channel, TWICE sends
// it twice, SWAP delivers it after the following one.
type fakeServer struct {
	listener net.Listener
	tasks    sync.WaitGroup

	mu      sync.Mutex
	clients []*fakeClient
	mood    string
	held    func()
}

type fakeClient struct {
	conn     net.Conn
	nick     string
	echo     bool
	channels map[string]bool
}

func newFakeServer(t *testing.T) string {
	t.Helper()
	return serveFake(t, func(l net.Listener) net.Listener { return l })
}

// newFakeTLSServer is one with TLS; it returns its certificate's fingerprint too.
func newFakeTLSServer(t *testing.T) (addr, fingerprint string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	addr = serveFake(t, func(l net.Listener) net.Listener { return tls.NewListener(l, config) })
	return addr, fmt.Sprintf("%X", sha256.Sum256(der))
}

func serveFake(t *testing.T, wrap func(net.Listener) net.Listener) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l = wrap(l)
	s := &fakeServer{listener: l}
	s.tasks.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.tasks.Go(func() { s.serve(conn) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		s.mu.Lock()
		for _, c := range s.clients {
			c.conn.Close()
		}
		s.mu.Unlock()
		s.tasks.Wait()
	})
	return l.Addr().String()
}

func (s *fakeServer) serve(conn net.Conn) {
	c := &fakeClient{conn: conn, channels: map[string]bool{}}
	s.mu.Lock()
	s.clients = append(s.clients, c)
	s.mu.Unlock()
	defer conn.Close()
	in := bufio.NewScanner(conn)
	for in.Scan() {
		s.mu.Lock()
		stay := s.handle(c, parseMessage(in.Text()))
		s.mu.Unlock()
		if !stay {
			return
		}
	}
}

func (c *fakeClient) say(format string, args ...any) {
	fmt.Fprintf(c.conn, format+"\r\n", args...)
}

func (s *fakeServer) handle(c *fakeClient, m message) bool {
	arg := ""
	if len(m.params) > 0 {
		arg = m.params[0]
	}
	switch m.command {
	case "CAP":
		if arg == "REQ" {
			c.echo = strings.Contains(m.params[1], "echo-message")
			c.say(":fake CAP * ACK :%s", m.params[1])
		}
	case "NICK":
		if slices.ContainsFunc(s.clients, func(o *fakeClient) bool { return o.nick == arg }) {
			c.say(":fake 433 * %s :Nickname is in use", arg)
			return true
		}
		if c.nick != "" {
			c.say(":%s!u@h NICK :%s", c.nick, arg)
		}
		c.nick = arg
	case "USER":
		c.say(":fake 001 %s :Welcome", c.nick)
		c.say(":fake 422 %s :no motd", c.nick)
	case "PING":
		c.say(":fake PONG fake :%s", arg)
	case "JOIN":
		c.channels[arg] = true
		s.toChannel(arg, nil, ":%s!u@h JOIN %s", c.nick, arg)
		c.say(":fake 366 %s %s :End", c.nick, arg)
	case "PART":
		s.toChannel(arg, nil, ":%s!u@h PART %s", c.nick, arg)
		delete(c.channels, arg)
	case "DROP", "TWICE", "SWAP":
		s.mood = m.command
	case "PRIVMSG":
		s.message(c, arg, m.params[1])
	case "TAGS":
		c.say("@time=2020;msgid=x :fake NOTICE %s :with tags", c.nick)
	case "PINGME":
		c.say("PING :are you there")
	case "PONG":
		c.say(":fake NOTICE %s :pong %s", c.nick, arg)
	case "QUIT":
		c.say("ERROR :bye")
		return false
	default:
		c.say(":fake 421 %s %s :Unknown command", c.nick, m.command)
	}
	return true
}

func (s *fakeServer) message(c *fakeClient, target, text string) {
	skip := c
	if c.echo {
		skip = nil
	}
	deliver := func() { s.toChannel(target, skip, ":%s!u@h PRIVMSG %s :%s", c.nick, target, text) }
	if !strings.HasPrefix(target, "#") {
		for _, o := range s.clients {
			if o.nick == target {
				o.say(":%s!u@h PRIVMSG %s :%s", c.nick, target, text)
			}
		}
		return
	}
	mood := s.mood
	s.mood = ""
	switch mood {
	case "DROP":
	case "TWICE":
		deliver()
		deliver()
	case "SWAP":
		s.held = deliver
	default:
		deliver()
		if s.held != nil {
			s.held()
			s.held = nil
		}
	}
}

func (s *fakeServer) toChannel(channel string, but *fakeClient, format string, args ...any) {
	for _, o := range s.clients {
		if o.channels[channel] && o != but {
			o.say(format, args...)
		}
	}
}
