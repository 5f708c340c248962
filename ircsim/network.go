package ircsim

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ircbridge/host/sim"
	"ircbridge/ircd"
)

// maxStep is how far the ring's clock may be ahead of that of the goroutines.
const maxStep = 10 * time.Millisecond

// Network is a simulated ring with an IRC server on each node.
type Network struct {
	World *sim.World

	setup  func(*ircd.Config)
	nodes  []*node
	served sync.WaitGroup // goroutines that serve connections

	mu    sync.Mutex
	asked []request // by goroutines, since they were woken last

	// What follows is the driver's own, and that of tasks of the world.
	wakes    []func()   // each lets one goroutine go on
	rand     *rand.Rand // of lines under way
	conns    []*conn
	sessions int
}

// request is what a goroutine asks of the network. Those of one turn are done in the order of
// their keys.
type request struct {
	key string
	do  func()
}

// Run makes a ring of so many nodes, drawn from a seed, and runs body on it. It returns when body has ended
// and all connections are closed. setup, if there is one, changes the servers' configuration.
//
// body runs in a goroutine of its own, so that it must not end the test; time.Sleep lets time go by.
func Run(t *testing.T, seed uint64, nodes int, setup func(*ircd.Config), body func(*Network)) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(sim.Epoch))
		n := &Network{World: sim.New(seed, sim.Config{}), setup: setup, rand: rand.New(rand.NewPCG(seed, 0x6c696e65))}
		defer n.World.Close()
		for range nodes {
			n.add()
		}
		over := false
		go func() {
			body(n)
			n.stopServers()
			n.served.Wait()
			n.ask("", func() { over = true })
		}()
		for !over {
			n.turn()
		}
	})
}

// turn lets goroutines run until all of them wait, does what they asked for, and wakes one. Where none is
// to be woken, time goes on.
func (n *Network) turn() {
	synctest.Wait()
	for _, r := range n.takeAsked() {
		r.do()
	}
	if len(n.wakes) > 0 {
		next := n.wakes[0]
		n.wakes = n.wakes[1:]
		next()
		return
	}
	n.World.Await(maxStep, func() bool { return len(n.wakes) > 0 })
	if behind := time.Until(n.World.Now()); behind > 0 {
		time.Sleep(behind)
	}
}

func (n *Network) takeAsked() []request {
	n.mu.Lock()
	defer n.mu.Unlock()
	list := n.asked
	n.asked = nil
	slices.SortStableFunc(list, func(a, b request) int { return cmp.Compare(a.key, b.key) })
	return list
}

// ask has the driver do something when all goroutines wait.
func (n *Network) ask(key string, do func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked = append(n.asked, request{key, do})
}

// wake has the driver let a goroutine go on, when its turn comes.
func (n *Network) wake(f func()) { n.wakes = append(n.wakes, f) }

// do has the driver do something, and waits for it.
func (n *Network) do(key string, f func()) {
	done := make(chan struct{})
	n.ask(key, func() {
		f()
		n.wake(func() { close(done) })
	})
	<-done
}

// call runs f as a task of the world, and waits for it.
func (n *Network) call(key string, f func()) {
	done := make(chan struct{})
	n.ask(key, func() {
		n.World.Go("call", func() {
			f()
			n.wake(func() { close(done) })
		})
	})
	<-done
}

// later does something after a time, in the world.
func (n *Network) later(d time.Duration, f func()) {
	n.World.Go("later", func() {
		n.World.Sleep(d)
		f()
	})
}

// Digest is a hash over all that has happened in the ring, and all that clients have read. Equal runs have equal
// digests.
func (n *Network) Digest() (digest uint64) {
	n.do("", func() {
		digest = n.World.Digest()
		for _, c := range n.conns {
			digest = digest*31 + c.read.Sum64()
		}
	})
	return digest
}
