package ircd

import (
	"flag"
	"math/rand/v2"
	"net"
	"slices"
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
		if err := storm.Run(clients, dial, program); err != nil {
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

// TestANickThatAnotherGaveUpIsShownAfterThat: who takes a nick at the moment when another has given it
// up is shown the other's change first. Afterwards it would look as a change of his own.
func TestANickThatAnotherGaveUpIsShownAfterThat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		al := s.actor("al")
		al.send("NICK al\r\nUSER al 0 * :Al\r\nJOIN #a\r\n")
		bob, err := s.svc.Open(s.ctx, chat.User{Nick: "bob", Username: "bob"})
		if err == nil {
			_, err = bob.Join(s.ctx, "#a", "")
		}
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		al.take()
		c := s.srv.holder("al")
		c.turn.Lock() // as when a command is handled
		if err := bob.SetNick(s.ctx, "rob"); err != nil {
			t.Error(err)
		}
		c.changeNick("bob")
		c.passTurn()
		synctest.Wait()
		host := c.self.Host
		want := []string{":bob!bob@" + host + " NICK :rob", ":al!al@" + host + " NICK :bob"}
		if got := al.take(); !slices.Equal(got, want) {
			t.Errorf("al is shown %q", got)
		}
		al.nc.Close()
		s.wg.Wait()
	})
}
