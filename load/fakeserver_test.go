package load

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
)

// fakeServer is a small IRC server that mistreats messages as a test asks for.
type fakeServer struct {
	t        *testing.T
	l        net.Listener
	mistreat func(number int, line string) []string // what is delivered instead, in its order
	greeting string                                 // instead of the welcome, unless ""
	deafTo   string                                 // a command that gets no answer

	mu      sync.Mutex
	conns   map[string]net.Conn // by nick
	members map[string][]string // by channel
	pending map[string]int      // lines delivered to each target so far
}

func newFakeServer(t *testing.T) *fakeServer {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &fakeServer{t: t, l: l, conns: map[string]net.Conn{}, members: map[string][]string{}, pending: map[string]int{}}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { s.serve(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		s.mu.Lock()
		for _, c := range s.conns {
			c.Close()
		}
		s.mu.Unlock()
		all.Wait()
	})
	return s
}

func (s *fakeServer) addr() string { return s.l.Addr().String() }

func (s *fakeServer) serve(c net.Conn) {
	defer c.Close()
	nick := ""
	for in := bufio.NewScanner(c); in.Scan(); {
		f := strings.SplitN(in.Text(), " ", 3)
		if f[0] == s.deafTo {
			continue
		}
		s.mu.Lock()
		switch f[0] {
		case "NICK":
			nick = f[1]
			s.conns[nick] = c
		case "USER":
			fmt.Fprint(c, "PING :before\r\n")
		case "PONG":
			if f[1] != ":before" {
				s.t.Errorf("got %q", in.Text())
			}
			if s.greeting != "" {
				fmt.Fprint(c, s.greeting)
				if strings.HasPrefix(s.greeting, "ERROR") {
					s.mu.Unlock()
					return
				}
				break
			}
			fmt.Fprintf(c, ":fake 001 %s :welcome\r\n:fake 422 %s :no motd\r\n", nick, nick)
		case "JOIN":
			s.members[f[1]] = append(s.members[f[1]], nick)
			fmt.Fprintf(c, ":%s!u@h JOIN %s\r\n:fake 366 %s %s :End of /NAMES list\r\n", nick, f[1], nick, f[1])
		case "PRIVMSG":
			s.deliverLocked(nick, f[1], ":"+nick+"!u@h "+in.Text())
		case "QUIT":
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
	}
}

// deliverLocked mistreats what is sent in the measured flows (m, t, b, c…), and
// only that.
func (s *fakeServer) deliverLocked(from, target, line string) {
	lines := []string{line}
	if f := strings.Fields(line); s.mistreat != nil && len(f) > 5 && f[3] == ":load" && f[5] != "w" {
		number := s.pending[target]
		s.pending[target]++
		lines = s.mistreat(number, line)
	}
	to := s.members[target]
	if to == nil {
		to = []string{target}
	}
	for _, nick := range to {
		for _, l := range lines {
			if c := s.conns[nick]; c != nil && nick != from {
				fmt.Fprintf(c, "%s\r\n", l)
			}
		}
	}
}
