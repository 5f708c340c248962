package ircd

import (
	"context"
	"flag"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"ircbridge/chat"
	"ircbridge/storm"
)

// stormOn plays a program on servers of one in-memory network, clients 0, 1, … on them in turn.
func stormOn(t *testing.T, nodes, clients int, program []byte) {
	synctest.Test(t, func(t *testing.T) {
		first := newStage(t)
		first.cfg.Opers = []Oper{{Name: "root", Password: sesame}}
		services := []chat.Service{first.svc}
		for len(services) < nodes {
			services = append(services, first.svc.AddNode(chat.Node{}))
		}
		var servers []*Server
		for _, service := range services {
			cfg := first.cfg
			cfg.ServerName = ""
			s, err := newServer(chat.Setup{Service: service, Version: "1"}, cfg)
			if err != nil {
				t.Fatal(err)
			}
			servers = append(servers, s)
		}
		dial := func(i int) (net.Conn, error) {
			near, far := net.Pipe()
			s := servers[i%len(servers)]
			first.wg.Go(func() { s.ServeConn(first.ctx, far) })
			return near, nil
		}
		if _, err := storm.Run(storm.Config{Clients: clients, Dial: dial, Program: program}); err != nil {
			t.Error(err)
		}
		first.cancel(nil)
		first.wg.Wait()
	})
}

// randomProgram is one of so many bytes.
func randomProgram(seed uint64, size int) []byte {
	random := rand.New(rand.NewPCG(seed, 0))
	program := make([]byte, size)
	for i := range program {
		program[i] = byte(random.Uint32())
	}
	return program
}

var storms = flag.Uint64("storms", 20, "how many random programs TestStorm plays")

// TestStorm has clients do random things, on one node and on three.
func TestStorm(t *testing.T) {
	for seed := range *storms {
		for _, nodes := range []int{1, 3} {
			t.Run("", func(t *testing.T) {
				t.Logf("seed %d, %d nodes", seed, nodes)
				stormOn(t, nodes, 4, randomProgram(seed, 3000))
			})
		}
	}
}

// FuzzStorm has a fuzzer write what clients do.
func FuzzStorm(f *testing.F) {
	for seed := range uint64(4) {
		f.Add(randomProgram(seed, 300))
	}
	f.Fuzz(func(t *testing.T, program []byte) {
		stormOn(t, 2, 3, program[:min(len(program), 1000)])
	})
}

// TestWhatOthersDidBeforeIsShownBefore: when others have done something just before a command is, the
// client is shown theirs first. The other way round a nick that another gave up would look
// like its own, and what it was shown of a topic or a mode last would not be what holds.
func TestWhatOthersDidBeforeIsShownBefore(t *testing.T) {
	for line, test := range map[string]struct {
		before func(ctx context.Context, bob chat.Session) error
		want   []string
	}{
		"NICK bob":     {func(ctx context.Context, bob chat.Session) error { return bob.SetNick(ctx, "rob") }, []string{":bob!bob@HOST NICK :rob", ":al!al@HOST NICK :bob"}},
		"TOPIC #a :al": {func(ctx context.Context, bob chat.Session) error { return bob.SetTopic(ctx, "#a", "bob") }, []string{":bob!bob@HOST TOPIC #a :bob", ":al!al@HOST TOPIC #a :al"}},
		"MODE #a -m": {func(ctx context.Context, bob chat.Session) error {
			_, err := bob.SetMode(ctx, "#a", []chat.ModeChange{{Add: true, Mode: 'm'}})
			return err
		}, []string{":bob!bob@HOST MODE #a +m", ":al!al@HOST MODE #a -m"}},
		"KICK #a bob :out": {func(ctx context.Context, bob chat.Session) error {
			_, err := bob.Send(chat.Outgoing{Target: "#a", Text: "last words"})
			return err
		}, []string{":bob!bob@HOST PRIVMSG #a :last words", ":al!al@HOST KICK #a bob :out"}},
	} {
		t.Run(line, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, al, bob := alAndBob(t)
				s.shows(al, line, test.want, func(*conn) {
					if err := test.before(s.ctx, bob); err != nil {
						t.Error(err)
					}
				})
			})
		})
	}
}

// hasty is a session of which others are quicker: when it has changed something they
// have done so too, before its client is answered.
type hasty struct {
	chat.Session
	after func()
}

func (h hasty) SetTopic(ctx context.Context, channel, topic string) error {
	defer h.after()
	return h.Session.SetTopic(ctx, channel, topic)
}

func (h hasty) SetMode(ctx context.Context, channel string, changes []chat.ModeChange) ([]chat.ModeChange, error) {
	defer h.after()
	return h.Session.SetMode(ctx, channel, changes)
}

func (h hasty) SetNick(ctx context.Context, nick string) error {
	defer h.after()
	return h.Session.SetNick(ctx, nick)
}

// TestWhatOthersDoAfterIsShownAfter: what the client is shown last is what holds.
func TestWhatOthersDoAfterIsShownAfter(t *testing.T) {
	for line, test := range map[string]struct {
		after func(ctx context.Context, bob chat.Session) error
		want  []string
	}{
		"TOPIC #a :al": {func(ctx context.Context, bob chat.Session) error { return bob.SetTopic(ctx, "#a", "bob") }, []string{":al!al@HOST TOPIC #a :al", ":bob!bob@HOST TOPIC #a :bob"}},
		"MODE #a +m": {func(ctx context.Context, bob chat.Session) error {
			_, err := bob.SetMode(ctx, "#a", []chat.ModeChange{{Mode: 'm'}})
			return err
		}, []string{":al!al@HOST MODE #a +m", ":bob!bob@HOST MODE #a -m"}},
		"NICK ally": {func(ctx context.Context, bob chat.Session) error { return bob.SetNick(ctx, "al") }, []string{":al!al@HOST NICK :ally", ":bob!bob@HOST NICK :al"}},
	} {
		t.Run(line, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, al, bob := alAndBob(t)
				s.shows(al, line, test.want, func(c *conn) {
					c.session = hasty{c.session, func() {
						if err := test.after(s.ctx, bob); err != nil {
							t.Error(err)
						}
					}}
				})
			})
		})
	}
}

// late is a session in whose network somebody takes another nick before he is kicked.
type late struct {
	chat.Session
	rename func() (nick string)
}

func (l late) Kick(ctx context.Context, channel, _, reason string) error {
	return l.Session.Kick(ctx, channel, l.rename(), reason)
}

// TestWhoIsKickedHasTakenAnotherNick: the KICK names him as the NICK before it does.
func TestWhoIsKickedHasTakenAnotherNick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, al, bob := alAndBob(t)
		s.shows(al, "KICK #a BOB :out", []string{":bob!bob@HOST NICK :rob", ":al!al@HOST KICK #a rob :out"}, func(c *conn) {
			c.session = late{c.session, func() string {
				if err := bob.SetNick(s.ctx, "rob"); err != nil {
					t.Error(err)
				}
				return "rob"
			}}
		})
	})
}

// alAndBob is a stage on which the client al and bob are operators of #a.
func alAndBob(t *testing.T) (*stage, *actor, chat.Session) {
	s := newStage(t)
	al := s.actor("al")
	al.send("NICK al\r\nUSER al 0 * :Al\r\nJOIN #a\r\n")
	synctest.Wait()
	bob, err := s.svc.Open(s.ctx, chat.User{Nick: "bob", Username: "bob"})
	if err == nil {
		_, err = bob.Join(s.ctx, "#a", "")
	}
	if err != nil {
		t.Fatal(err)
	}
	al.send("MODE #a +o bob\r\n")
	synctest.Wait()
	al.take()
	return s, al, bob
}

// shows has a line of al's handled, with what comes before it in the same turn, and ends the stage.
func (s *stage) shows(al *actor, line string, want []string, before func(*conn)) {
	s.t.Helper()
	c := s.srv.holder("al")
	c.turn.Lock()
	before(c)
	m, err := parseLine([]byte(line))
	if err == nil {
		err = c.dispatch(m)
	}
	if err != nil {
		s.t.Error(err)
	}
	c.passTurn()
	synctest.Wait()
	if got := strings.Split(strings.ReplaceAll(strings.Join(al.take(), "\n"), c.self.Host, "HOST"), "\n"); !slices.Equal(got, want) {
		s.t.Errorf("al is shown %q", got)
	}
	al.nc.Close()
	s.wg.Wait()
}
