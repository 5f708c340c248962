package ircd

import (
	"math/rand/v2"
	"net"
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

// TestStorm has clients do random things, on one node and on three.
func TestStorm(t *testing.T) {
	for seed := range uint64(20) {
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
