// Package sim is the simulated host: a world of nodes in virtual time, in one
// process, that a seed replays to the byte. It runs the same protocol code as
// host/p2p, and is made for tests only.
//
// # A test
//
//	func TestPing(t *testing.T) {
//		w := sim.New(1, sim.Config{})
//		t.Cleanup(w.Close)
//		a, b := w.Add("a"), w.Add("b")
//		ping := host.Method{Number: 1, Name: "ping"}
//		b.HandleCall(ping, func(from host.Peer, req []byte) ([]byte, error) {
//			return append(req, '!'), nil
//		})
//		w.Start(a, nil)                  // handlers first, then Start
//		w.Start(b, func() { /* main task of b: Run of the protocol */ })
//		w.Go("test", func() {            // a task that belongs to no node
//			got, err := a.Call(b.Self(), ping, []byte("hi"), time.Second)
//			if err != nil || string(got) != "hi!" {
//				t.Errorf("got %q, %v", got, err)
//			}
//			w.Crash(b)
//			_, err = a.Call(b.Self(), ping, nil, time.Second)
//			if !errors.Is(err, host.ErrUnreachable) {
//				t.Error(err)
//			}
//			b = w.Restart(b)             // a new Host: new run, same key and store
//			// … register handlers, w.Start(b, …)
//		})
//		w.Run()                          // until all tasks of the test ended
//	}
//
// RunFor(d) runs for a while instead, and Await(d, cond) until something
// holds; AfterEvent registers a check of invariants after every event. Print
// the seed when a test fails: with it the run repeats. Digest is equal for
// equal runs; tests assert it to show that the code under test is
// deterministic (it must never range over a map to decide, nor read the real
// clock or real randomness).
//
// # Tasks
//
// Every task is a coroutine, and one runs at a time, from one event to its
// next blocking call, in which no virtual time passes. So code under test needs no -race
// to be right here, and a lock held over a blocking call hangs the world: Run
// then panics after some seconds with the stacks of all tasks. A call of
// t.Fatal inside a task ends the test as it should. A panic in a task surfaces
// from Run with seed, time, node and task.
//
// Blocking methods of a Host are for tasks, its own or the test's. Everything
// else of a World and of a Host (Send, Signal, Store, Crash, …) may be called
// from tasks and, between runs, from the goroutine of the test. Nothing here
// is for use by several goroutines at once.
//
// # The model
//
// A pair of nodes has one connection, dialled at the first call or message
// (one round trip), in which each direction keeps its order. A crash is told
// to the peers as TCP does it, one latency later. Across a partition nothing
// is lost at first: what was sent waits in the connection, and arrives after a
// Heal; when Config.BreakAfter has passed first, both ends are told that the connection is lost and
// what was queued is gone. Faults asks for more than a real connection does
// (lost, doubled, reordered messages, lost replies).
//
// A paused node (SIGSTOP) runs nothing; what comes for it waits, its timers
// fire when it goes on. A crash unwinds each task of the node at its host
// call: deferred code runs, but the host refuses all it asks (ErrStopped).
// What the Store had not yet committed (Config.CommitDelay, Store.Sync) is lost. A node that is stopped
// gracefully loses nothing: its tasks get ErrStopped.
//
// # Disks
//
// SetDisk makes the disk of a node full (Sync fails, what is written is not
// committed until there is room again), refusing (Write fails too), or slow. A
// node restarts with the disk that it had; Restart with EmptyDisk gives it one
// that forgot everything, and with OldDisk one as CopyDisk found it earlier:
//
//	old := w.CopyDisk(a)                        // a backup is made
//	// …
//	w.Crash(a)
//	a = w.Restart(a, sim.OldDisk(old))          // a knows nothing that came after
package sim

import (
	"io"
	"math/rand/v2"
	"time"

	"ircbridge/host"
)

// Config says how a World behaves. The zero value is a quiet local network.
type Config struct {
	// Latency of each message; nil is LAN().
	Latency Latency
	// Faults at the beginning; see World.SetFaults.
	Faults Faults
	// BreakAfter is how long a connection stands that carries nothing (a
	// partition), and how long a dial tries. 0 is 10 s.
	BreakAfter time.Duration
	// PauseBreakAfter is how long the peers of a paused node keep the
	// connection, whose kernel still acknowledges. 0 is 30 s.
	PauseBreakAfter time.Duration
	// CommitDelay is how long a written batch is at risk from a crash. 0 is
	// 100 ms; negative is none.
	CommitDelay time.Duration
	// MaxQueued and MaxQueuedBytes bound what waits in one direction of one
	// connection; above them Send is ErrBusy. 0 is 8192 messages and 2 MiB.
	MaxQueued      int
	MaxQueuedBytes int
	// MaxRunning bounds the handlers that run for one peer at a time; above
	// it the caller gets ErrBusy. 0 is 512.
	MaxRunning int
	// MaxConns is how many connections a node keeps: beyond it the least
	// recently used that are not marked by Host.Keep are closed. 0 is 192.
	MaxConns int
	// Trace, when set, gets one line for each event.
	Trace io.Writer
}

// Faults are probabilities, 0 to 1, for each message. They go beyond what a
// connection does by itself.
type Faults struct {
	Loss      float64 // a one-way message is lost
	Duplicate float64 // a one-way message comes twice
	Reorder   float64 // a one-way message is late by up to ten latencies, and overtaken
	ReplyLoss float64 // the reply of a call is lost; the call times out
}

// Epoch is the beginning of virtual time, as host clocks without skew show it. It lies far in
// the past, so that the deadline of a real context never cuts a virtual wait.
var Epoch = time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)

// maxStill bounds the events at one instant: beyond it code spins without
// ever sleeping.
const maxStill = 20_000_000

// A World is a network of nodes and their time.
type World struct {
	seed  uint64
	cfg   Config
	now   int64 // nanoseconds since Epoch
	queue queue
	rand  *rand.Rand // of the network

	nodes  []*node // in the order of Add
	byAddr map[string]*node
	byID   map[host.PeerID]*node
	cut    map[[2]*node]bool // one-way cuts
	parted bool              // any node is in a group of its own

	tasks      taskList // of the test
	cur        *task    // the running one
	inSend     *Host    // whose SendHandler runs
	idle       []*task
	coroutines []*task // all that were ever made
	spare      []*message
	failure    string
	closed     bool

	digest  digest
	events  uint64
	still   int
	hooks   []func(*Host)
	touched []*Host
	watch   watch
}

// New makes a world. Equal seeds and configurations, and equal code under
// test, give equal runs.
func New(seed uint64, cfg Config) *World {
	if cfg.Latency == nil {
		cfg.Latency = LAN()
	}
	setDefault(&cfg.BreakAfter, 10*time.Second)
	setDefault(&cfg.PauseBreakAfter, 30*time.Second)
	setDefault(&cfg.CommitDelay, 100*time.Millisecond)
	setDefault(&cfg.MaxQueued, 8192)
	setDefault(&cfg.MaxQueuedBytes, 2<<20)
	setDefault(&cfg.MaxRunning, 512)
	setDefault(&cfg.MaxConns, 192)
	return &World{
		seed:   seed,
		cfg:    cfg,
		rand:   rand.New(rand.NewPCG(seed, 0x6e6574)),
		byAddr: make(map[string]*node),
		byID:   make(map[host.PeerID]*node),
		cut:    make(map[[2]*node]bool),
		digest: digest(seed),
	}
}

func setDefault[T ~int | ~int64](v *T, def T) {
	if *v == 0 {
		*v = def
	}
}

// Seed is the seed the world was made from, to be printed with failures.
func (w *World) Seed() uint64 { return w.seed }

// Elapsed is the virtual time since the world began.
func (w *World) Elapsed() time.Duration { return time.Duration(w.now) }

// Now is the true virtual time, without any node's skew.
func (w *World) Now() time.Time { return Epoch.Add(w.Elapsed()) }

// Events is the number of events so far.
func (w *World) Events() uint64 { return w.events }

// Digest is a hash over all events so far: time, node, kind, payload. It is
// the same for equal runs, on every machine.
func (w *World) Digest() uint64 { return uint64(w.digest) }

// SetFaults replaces the probabilities, from now on.
func (w *World) SetFaults(f Faults) { w.cfg.Faults = f }

// AfterEvent registers f to be called after every event, once for each node
// that ran in it or was used by a task of the test; to check invariants. f must not block.
func (w *World) AfterEvent(f func(changed *Host)) { w.hooks = append(w.hooks, f) }

// Go starts a task of the test, which belongs to no node and survives
// crashes. It may use every host: a call through a host that crashes then
// returns ErrStopped.
func (w *World) Go(name string, f func()) {
	t := w.newTask(nil, name)
	t.f = f
	w.begin(t)
}

// Sleep blocks the running task for d of virtual time.
func (w *World) Sleep(d time.Duration) {
	t := w.cur
	switch {
	case t == nil:
		panic("sim: Sleep outside a task; use RunFor")
	case t.host != nil:
		_ = t.host.Sleep(d) // the task ends when its node does
	case !t.killed:
		t.block(nil, int64(max(d, 0)))
	}
}

// NewEvent makes an Event that belongs to no node.
func (w *World) NewEvent() host.Event { return &Event{world: w} }

// Run runs until every task begun with World.Go has ended. It panics when
// they never will, because nothing is left to happen.
func (w *World) Run() {
	w.enterRun()
	defer w.leaveRun()
	for w.tasks.first != nil {
		if !w.next(1<<63 - 1) {
			panic(w.where(w.tasks.first) + ": waits for ever: nothing is left to happen")
		}
	}
}

// RunFor runs for d of virtual time.
func (w *World) RunFor(d time.Duration) { w.RunUntil(w.Elapsed() + d) }

// RunUntil runs until the virtual time since the beginning is at; all that
// happens at that instant is included.
func (w *World) RunUntil(at time.Duration) {
	w.enterRun()
	defer w.leaveRun()
	for w.next(int64(at)) {
	}
	w.now = max(w.now, int64(at))
}

// Await runs until cond holds, for at most d of virtual time, and reports
// whether it did. cond is called after every event.
func (w *World) Await(d time.Duration, cond func() bool) bool {
	w.enterRun()
	defer w.leaveRun()
	until := w.now + int64(d)
	for !cond() {
		if !w.next(until) {
			w.now = max(w.now, until)
			return cond()
		}
	}
	return true
}

// Eventually is Await for tasks: it looks every millisecond.
func (w *World) Eventually(d time.Duration, cond func() bool) bool {
	for until := w.now + int64(d); !cond(); w.Sleep(time.Millisecond) {
		if w.now >= until {
			return false
		}
	}
	return true
}

// next lets the next event happen, unless it is later than until.
func (w *World) next(until int64) bool {
	e, ok := w.queue.pop(until)
	if !ok {
		return false
	}
	if e.at > w.now {
		w.now = e.at
		w.still = 0
	} else if w.still++; w.still > maxStill {
		panic(w.where(e.task) + ": time stands still: some code never sleeps")
	}
	w.dispatch(e)
	return true
}

// dispatch makes e happen, unless a cut stops it on the way.
func (w *World) dispatch(e event) {
	if e.msg == nil || !w.held(e.msg) {
		w.happen(e)
	}
}

// happen makes e happen now, or when its node goes on after a pause.
func (w *World) happen(e event) {
	if h := e.node(); h != nil && h.frozen() {
		h.deferred = append(h.deferred, e)
		return
	}
	w.events++
	w.watch.beat(w.events)
	switch {
	case e.msg == nil:
		w.runTask(e)
	case e.msg.kind >= msgRelease:
		w.timer(e.msg)
	default:
		w.arrive(e.msg)
	}
	if len(w.hooks) > 0 {
		w.callHooks()
	}
}

// node is the node that an event happens at; nil for the test and the network.
func (e *event) node() *Host {
	if e.msg != nil {
		return e.msg.target()
	}
	if e.task.host != nil {
		return e.task.host
	}
	return e.task.via
}

func (w *World) runTask(e event) {
	t := e.task
	if e.stale() {
		return // while the event waited for its node to go on
	}
	if e.kind == wakeTimer {
		t.timed = false
	}
	t.gen++
	t.unlink()
	t.woken = e.kind
	h := e.node()
	w.record(h, "wake", uint64(e.kind), nil)
	if w.cfg.Trace != nil {
		w.trace(h, "%s %s", wakeNames[e.kind], t.name)
	}
	if h != nil {
		w.touch(h)
	}
	w.step(t)
}

var wakeNames = [...]string{"start", "timer", "signal", "reply", "down", "stopped", "resumed"}

func (w *World) touch(h *Host) {
	if len(w.hooks) > 0 && !h.touched {
		h.touched = true
		w.touched = append(w.touched, h)
	}
}

func (w *World) callHooks() {
	for _, h := range w.touched {
		for _, f := range w.hooks {
			f(h)
		}
		h.touched = false
	}
	w.touched = w.touched[:0]
}

// Close ends the world: every task is unwound, every coroutine ends.
func (w *World) Close() {
	if w.closed {
		return
	}
	w.closed = true
	w.cur = nil
	failed := w.failure != ""
	for _, n := range w.nodes {
		for _, h := range n.hosts {
			h.state = crashed
			w.killAll(&h.tasks)
		}
	}
	w.killAll(&w.tasks)
	for _, t := range w.coroutines {
		t.cancel()
	}
	if w.failure != "" && !failed {
		panic(w.failure)
	}
}

// killAll unwinds the tasks of a list, without raising what they panic with.
func (w *World) killAll(l *taskList) {
	for l.first != nil {
		t := l.first
		if !t.started {
			w.retire(t)
			continue
		}
		l.remove(t)
		t.killed = true
		w.cur = t
		t.resume()
		w.cur = nil
	}
}
