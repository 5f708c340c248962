package chord

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"ircbridge/host"
	"ircbridge/host/sim"
)

// testNode is one node of a simulated ring, through its runs.
type testNode struct {
	name string
	h    *sim.Host
	r    *Ring
	// changes as OnChange told them
	changes []Change
	ended   time.Duration // when it crashed or left, by the schedule; 0: it did not
}

func (n *testNode) up() bool     { return n.h.Running() }
func (n *testNode) member() bool { return n.up() && n.r.state == member }

// testNet is a simulated network of rings.
type testNet struct {
	t     testing.TB
	w     *sim.World
	cfg   Config
	nodes []*testNode
	by    map[*sim.Host]*testNode
}

func newNet(t testing.TB, seed uint64, sc sim.Config, cfg Config) *testNet {
	n := &testNet{t: t, w: sim.New(seed, sc), cfg: cfg.withDefaults(), by: make(map[*sim.Host]*testNode)}
	t.Cleanup(n.w.Close)
	return n
}

func (n *testNet) fatalf(format string, args ...any) {
	n.t.Helper()
	n.t.Fatalf("seed %d at %v: %s", n.w.Seed(), n.w.Elapsed(), fmt.Sprintf(format, args...))
}

// add makes a node and starts it; it is no member yet.
func (n *testNet) add(opts ...sim.Option) *testNode {
	name := fmt.Sprintf("n%d", len(n.nodes))
	x := &testNode{name: name, h: n.w.Add(name, opts...)}
	n.nodes = append(n.nodes, x)
	n.start(x)
	return x
}

var logLines = flag.Bool("chord.log", false, "print what the rings log")

// logLine prints a log record with the virtual time.
type logLine struct {
	slog.Handler
	n *testNet
	x *testNode
}

func (l logLine) Enabled(context.Context, slog.Level) bool { return *logLines }

func (l logLine) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%v %s %s", l.n.w.Elapsed(), l.x.name, r.Message)
	r.Attrs(func(a slog.Attr) bool {
		if id, ok := a.Value.Any().(ID); ok {
			a.Value = slog.StringValue(l.n.name(id))
		}
		if a.Key != "node" {
			fmt.Fprintf(&b, " %s", a)
		}
		return true
	})
	fmt.Println(b.String())
	return nil
}

func (n *testNet) start(x *testNode) {
	cfg := n.cfg
	cfg.Log = slog.New(logLine{slog.DiscardHandler, n, x})
	x.r = New(x.h, cfg)
	x.r.OnChange(func(c Change) { x.changes = append(x.changes, c) })
	n.by[x.h] = x
	n.w.Start(x.h, x.r.Run)
}

func (n *testNet) restart(x *testNode) {
	x.ended = 0
	x.h = n.w.Restart(x.h)
	n.start(x)
}

// join lets x join through peers, and tries again until it is in.
func (n *testNet) join(x *testNode, peers ...*testNode) {
	var ps []host.Peer
	for _, p := range peers {
		ps = append(ps, p.h.Self())
	}
	r := x.r
	x.h.Go("join", func() {
		for r.Join(ps, 5*time.Second) != nil && r.h.Sleep(time.Second) == nil {
			if ms := n.members(); len(ms) > 0 {
				ps = []host.Peer{ms[int(r.h.Rand()%uint64(len(ms)))].h.Self()}
			}
		}
	})
}

// do runs f as a task of the test to its end.
func (n *testNet) do(f func()) {
	n.w.Go("test", f)
	n.w.Run()
}

// members are the living members, in the order of their IDs.
func (n *testNet) members() []*testNode {
	var out []*testNode
	for _, x := range n.nodes {
		if x.member() {
			out = append(out, x)
		}
	}
	slices.SortFunc(out, func(a, b *testNode) int { return a.r.id.Compare(b.r.id) })
	return out
}

// ring makes an ideal ring of size nodes: one, then the others through it.
func (n *testNet) ring(size int) []*testNode {
	n.t.Helper()
	for len(n.nodes) < size {
		x := n.add()
		if len(n.nodes) == 1 {
			x.r.Create()
		} else {
			n.join(x, n.nodes[0])
		}
		if len(n.nodes)%16 == 0 {
			n.w.RunFor(time.Second)
		}
	}
	n.awaitIdeal(size, time.Minute)
	return n.members()
}

func (n *testNet) awaitIdeal(size int, d time.Duration) {
	n.t.Helper()
	for until := n.w.Elapsed() + d; ; n.w.RunFor(50 * time.Millisecond) {
		err := n.ideal()
		if err == nil && len(n.members()) == size {
			return
		}
		if n.w.Elapsed() >= until {
			n.fatalf("not ideal after %v: %d members, want %d: %v\n%s", d, len(n.members()), size, err, n.dump())
		}
	}
}

// ideal reports what keeps the ring from being the ideal one: each list the
// next r living members, each predecessor right, everybody settled.
func (n *testNet) ideal() error {
	ms := n.members()
	for i, x := range ms {
		want := min(n.cfg.SuccessorListLen, len(ms)-1)
		if len(x.r.succs) != want {
			return fmt.Errorf("%s: list of %d, want %d", x.name, len(x.r.succs), want)
		}
		for k, c := range x.r.succs {
			if c.ID != ms[(i+1+k)%len(ms)].r.id {
				return fmt.Errorf("%s: successor %d is %s, want %s", x.name, k, n.name(c.ID), ms[(i+1+k)%len(ms)].name)
			}
		}
		if !x.r.settled {
			return fmt.Errorf("%s is not settled", x.name)
		}
		if len(ms) == 1 {
			if !x.r.aloneLocked() {
				return fmt.Errorf("%s: the only member is not alone", x.name)
			}
			continue
		}
		if p := ms[(i+len(ms)-1)%len(ms)]; x.r.pred == nil || x.r.pred.ID != p.r.id {
			return fmt.Errorf("%s: predecessor is not %s", x.name, p.name)
		}
	}
	return nil
}

func (n *testNet) name(id ID) string {
	for _, x := range n.nodes {
		if x.r.id == id {
			if !x.up() {
				return x.name + "†"
			}
			return x.name
		}
	}
	return id.short()
}

// dump shows the whole ring.
func (n *testNet) dump() string {
	var b strings.Builder
	for _, x := range n.members() {
		pred := "-"
		if x.r.pred != nil {
			pred = n.name(x.r.pred.ID)
		}
		fmt.Fprintf(&b, "%s %-5s settled=%v lost=%v big=%v pred=%s succs=", x.r.id.short(), x.name, x.r.settled, x.r.lost, x.r.big, pred)
		for _, c := range x.r.succs {
			fmt.Fprintf(&b, "%s ", n.name(c.ID))
		}
		fmt.Fprintln(&b)
	}
	return b.String()
}

// owner is the true owner of key: the first of ms at or after it.
func owner(ms []*testNode, key ID) *testNode {
	for _, x := range ms {
		if key.Compare(x.r.id) <= 0 {
			return x
		}
	}
	return ms[0]
}
