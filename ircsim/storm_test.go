package ircsim

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"ircbridge/host/sim"
	"ircbridge/ircd"
	"ircbridge/storm"
)

const (
	stormNodes   = 3
	stormClients = 5
)

// quietTime is how long it may take after a fault until all nodes agree: a lease and a renewal.
const quietTime = 2 * time.Minute

// stormOn plays a random program on a ring of three, and returns how much it was and the digest of the run.
func stormOn(t *testing.T, seed uint64, size int, faults bool) (count storm.Count, digest uint64) {
	random := rand.New(rand.NewPCG(seed, 0))
	program := make([]byte, size)
	for i := range program {
		program[i] = byte(random.Uint32())
	}
	Run(t, seed, stormNodes, func(c *ircd.Config) {
		// The hash of the password "sesame", of the least cost.
		c.Opers = []ircd.Oper{{Name: "root", Password: "$2a$04$2mx.cXA74Ds4f8oM./Q3JOEMH0ovhlQ.D3tf92O4tEmkVOCxPObH."}}
	}, func(n *Network) {
		cfg := storm.Config{
			Clients: stormClients,
			Dial:    func(i int) (net.Conn, error) { return dial(n, i%stormNodes) },
			Program: program,
			Pause:   func(n int) { time.Sleep(pauses[n%len(pauses)]) },
		}
		if *lines {
			cfg.Log = func(line string) { t.Log(time.Since(sim.Epoch), line) }
		}
		if faults {
			h := harm{log: cfg.Log}
			cfg.Harm = func(byte int) { h.do(n, byte) }
			cfg.Mend = func() { time.Sleep(time.Until(h.until) + quietTime) }
		}
		var err error
		if count, err = storm.Run(cfg); err != nil {
			t.Errorf("seed %d, faults %v: %v", seed, faults, err)
		}
		digest = n.Digest()
	})
	return count, digest
}

// pauses are mostly short, so that what others did is still under way.
var pauses = []time.Duration{
	time.Microsecond, time.Millisecond, time.Millisecond, 2 * time.Millisecond, 2 * time.Millisecond, 4 * time.Millisecond, 8 * time.Millisecond,
	20 * time.Millisecond, 100 * time.Millisecond, time.Second, 4 * time.Second, 25 * time.Second,
}

func dial(n *Network, node int) (net.Conn, error) {
	nc, err := n.Dial(node)
	if errors.Is(err, ErrDown) {
		return nil, storm.ErrOut
	}
	if err != nil {
		return nil, err
	}
	return lossy{nc}, nil
}

// lossy is a connection to a node that may be killed.
type lossy struct{ net.Conn }

func (l lossy) Read(b []byte) (int, error) {
	size, err := l.Conn.Read(b)
	if errors.Is(err, ErrKilled) {
		err = storm.ErrLost
	}
	return size, err
}

// harm has faults happen, also at the same time.
type harm struct {
	until time.Time
	log   func(string) // may be nil
}

func (h *harm) do(n *Network, byte int) {
	kind, node := byte%8, byte/8%stormNodes
	d := []time.Duration{200 * time.Millisecond, 3 * time.Second, 10 * time.Second, 40 * time.Second}[byte/24%4]
	if h.log != nil {
		h.log(fmt.Sprintf("node %d: %s for %v", node, []string{"killed", "killed", "killed", "cut off", "cut off", "paused for half", "all lose messages", "all lose messages"}[kind], d))
	}
	switch kind {
	case 0, 1, 2:
		n.Kill(node, d)
	case 3, 4:
		n.Cut(d, node)
	case 5:
		n.Pause(node, min(d/2, 4*time.Second)) // the clients' side goes on, and would find that nobody answers
	default:
		n.Disturb(d, sim.Faults{Loss: 0.02, Duplicate: 0.05, Reorder: 0.1, ReplyLoss: 0.02})
	}
	if until := time.Now().Add(d); until.After(h.until) {
		h.until = until
	}
}

var (
	storms   = flag.Uint64("storms", 2, "how many random programs TestStorm plays without faults, and as many with them")
	firstOne = flag.Uint64("seed", 0, "the seed of the first program of TestStorm")
	duration = flag.Duration("for", 0, "TestStorm goes on for that long instead")
	lines    = flag.Bool("lines", false, "TestStorm prints all lines and faults, with the time since the run began")
	size     = flag.Int("size", 2000, "the bytes of a program of TestStorm, of which a command takes about four")
)

// TestStorm has clients at three simulated nodes do random things.
func TestStorm(t *testing.T) {
	began, runs, sum := time.Now(), 0, storm.Count{}
	for seed := *firstOne; ; seed++ {
		if *duration == 0 && seed >= *firstOne+*storms || *duration == 0 && testing.Short() && seed > *firstOne || *duration > 0 && time.Since(began) > *duration {
			break
		}
		for _, faults := range []bool{false, true} {
			if testing.Verbose() { // whatever ends the process, this has been said
				t.Logf("seed %d, faults %v", seed, faults)
			}
			count, _ := stormOn(t, seed, *size, faults)
			runs++
			sum.Add(count)
		}
	}
	t.Logf("%d runs in %v: %d commands, %d lines shown, %d faults", runs, time.Since(began).Round(time.Millisecond), sum.Commands, sum.Shown, sum.Harms)
}

// TestReplay: equal seeds give equal runs.
func TestReplay(t *testing.T) {
	for seed := range uint64(2) {
		_, first := stormOn(t, seed, 400, true)
		if _, second := stormOn(t, seed, 400, true); first != second {
			t.Errorf("seed %d: two runs have the digests %x and %x", seed, first, second)
		}
	}
}
