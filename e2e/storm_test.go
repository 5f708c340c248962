package e2e

import (
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"ircbridge/storm"
)

// TestStorm has clients at three nodes do random things at the same time.
func TestStorm(t *testing.T) {
	first := startNode(t, nil)
	ring := []*node{first, startNode(t, first), startNode(t, first)}
	seed, size := uint64(time.Now().UnixNano()), 10000
	if testing.Short() {
		size = 600
	}
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	program := make([]byte, size)
	for i := range program {
		program[i] = byte(random.Uint32())
	}
	dial := func(i int) (net.Conn, error) {
		return net.Dial("tcp", net.JoinHostPort("127.0.0.1", ring[i%len(ring)].port))
	}
	if _, err := storm.Run(storm.Config{Clients: 5, Dial: dial, Program: program}); err != nil {
		t.Error(err)
	}
}
