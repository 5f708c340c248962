package ircd

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ircbridge/chat"
	"ircbridge/chat/chattest"
)

// pipes is a server whose clients are connected through pipes.
type pipes struct {
	*Server
	t  *testing.T
	wg sync.WaitGroup
}

func newPipes(t *testing.T, change ...func(*Config)) *pipes {
	cfg := defaultConfig()
	for _, f := range change {
		f(&cfg)
	}
	s, err := newServer(chat.Setup{Service: chattest.NewService(chattest.Options{})}, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return &pipes{Server: s, t: t}
}

// connect makes a client; wrap is what the server puts round its side.
func (p *pipes) connect(wrap func(net.Conn) net.Conn) *client {
	near, far := net.Pipe()
	p.wg.Go(func() { p.ServeConn(context.Background(), wrap(far)) })
	return &client{p.t, near, bufio.NewReader(near)}
}

func plain(nc net.Conn) net.Conn { return nc }

// readAll takes all that comes until the end, and gives it then.
func readAll(r io.Reader) <-chan string {
	all := make(chan string, 1)
	go func() {
		text, _ := io.ReadAll(r)
		all <- string(text)
	}()
	return all
}

// Of two who want the nick of a ghost at once one gets it, and the other hears
// no later than he; the ghost is asked once.
func TestTwoWhoWantTheNickOfAGhost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newPipes(t)
		ghost := s.connect(plain).register("al")
		seen := readAll(ghost.r)
		time.Sleep(time.Minute)
		start := time.Now()
		var got [2]string
		var clients [2]*client
		var both sync.WaitGroup
		for i, user := range []string{"ua", "ub"} {
			c := s.connect(plain)
			clients[i] = c
			both.Go(func() {
				c.send("USER "+user+" 0 * :x", "NICK al")
				got[i] = c.until(" ")
				s.wg.Go(func() { io.Copy(io.Discard, c.r) })
			})
		}
		both.Wait()
		if took := time.Since(start); took != ghostTime {
			t.Errorf("took %v", took)
		}
		if !strings.Contains(got[0]+got[1], " 433 * al ") || !strings.Contains(got[0]+got[1], " 001 al ") {
			t.Errorf("%q: one of them gets it", got)
		}
		if text := <-seen; strings.Count(text, "PING :") != 1 || !strings.Contains(text, "ERROR :Closing link (Your nick was wanted") {
			t.Errorf("the ghost got %q", text)
		}
		clients[0].send("QUIT")
		clients[1].send("QUIT")
		s.wg.Wait()
	})
}

// A ghost that does not even read, or whose TLS does not answer, yields its
// nick in the same time.
func TestAGhostThatDoesNotReadYieldsItsNick(t *testing.T) {
	cert, err := selfSigned("irc.test", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for name, wrap := range map[string]func(net.Conn) net.Conn{
		"plain": plain,
		"TLS":   func(nc net.Conn) net.Conn { return tls.Server(nc, &tls.Config{Certificates: []tls.Certificate{*cert}}) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newPipes(t)
				ghost := s.connect(wrap)
				if name == "TLS" {
					tc := tls.Client(ghost.Conn, &tls.Config{InsecureSkipVerify: true})
					ghost.Conn, ghost.r = tc, bufio.NewReader(tc)
				}
				ghost.register("al")
				time.Sleep(time.Minute)
				start := time.Now()
				c := s.connect(plain)
				c.send("USER u 0 * :x", "NICK al")
				c.until(" 001 al ")
				if took := time.Since(start); took != ghostTime {
					t.Errorf("took %v", took)
				}
				s.wg.Go(func() { io.Copy(io.Discard, c.r) })
				c.send("QUIT")
				s.wg.Wait()
				if took := time.Since(start); took > ghostTime+goodbyeTimeout+closeTime+time.Second {
					t.Errorf("the ghost's connection stays for %v", took)
				}
			})
		})
	}
}

// Also one whose queues are full, so that even its turn is taken, is rid of its
// nick at once, and soon of its connection.
func TestAGhostWithFullQueuesIsClosed(t *testing.T) {
	s := newPipes(t, func(c *Config) { c.Limits.WriteTimeout = time.Hour })
	ghost := s.connect(plain).register("al") // and reads no more
	go io.WriteString(ghost, strings.Repeat("HELP\r\n", 2*maxOutbox/400))
	holder := s.holder("al")
	for holder.out.size() < maxOutbox {
		runtime.Gosched()
	}
	holder.giveUp("al")
	c := s.connect(plain).register("al")
	c.send("QUIT")
	go io.Copy(io.Discard, c.r)
	s.wg.Wait()
}

// Who waits for the answer to a command is no ghost, however long it takes.
func TestWhoWaitsForAnAnswerIsNoGhost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newPipes(t)
		s.service = lateService{s.service.(*chattest.Service)}
		waiting := s.connect(plain).register("al")
		all := readAll(waiting.r)
		time.Sleep(time.Minute)
		waiting.send("JOIN #late") // which takes commandTimeout
		time.Sleep(commandTimeout - time.Second)
		c := s.connect(plain)
		c.send("USER u 0 * :x", "NICK al")
		c.until(" 433 * al ")
		c.Close()
		waiting.send("QUIT")
		if text := <-all; !strings.Contains(text, "ERROR :Closing link (Quit)") || strings.Contains(text, "PING") {
			t.Errorf("he got %q", text)
		}
		s.wg.Wait()
	})
}

// A nick that has moved on meanwhile costs nobody his connection.
func TestAGhostThatHasAnotherNickByNowStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newPipes(t)
		ghost := s.connect(plain).register("al")
		all := readAll(ghost.r)
		time.Sleep(time.Minute)
		c := s.connect(plain)
		c.send("USER u 0 * :x", "NICK al")
		time.Sleep(time.Second)
		s.service.(*chattest.Service).Rename("al", "al-1", "another network has it")
		c.until(" 001 al ")
		s.wg.Go(func() { io.Copy(io.Discard, c.r) })
		c.send("QUIT")
		ghost.send("QUIT")
		if text := <-all; !strings.Contains(text, "ERROR :Closing link (Quit)") {
			t.Errorf("he got %q", text)
		}
		s.wg.Wait()
	})
}
