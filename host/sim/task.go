package sim

import (
	"fmt"
	"iter"
	"runtime/debug"

	"ircbridge/host"
)

// wakeKind says why a task runs again.
type wakeKind uint8

const (
	wakeStart   wakeKind = iota // it begins
	wakeTimer                   // its time is up
	wakeSignal                  // an event was signalled
	wakeReply                   // a call's reply is in task.reply
	wakeDown                    // the connection of its call was lost
	wakeStopped                 // its host stops
	wakeResumed                 // the paused host it wanted to block through goes on
)

// unwinding is the value of the panic that ends a task of a crashed node at
// its host call.
type unwinding struct{}

// maxRefused bounds how often an unwinding or stopped task may ask again
// after ErrStopped, which would otherwise hang the world.
const maxRefused = 100000

// A task is a coroutine. When its function ends it is kept for the next one,
// so that a call costs no new coroutine.
type task struct {
	world *World
	host  *Host // the node it belongs to; nil for a task of the test
	name  string
	f     func()
	serve *message // a request to be handled, instead of f

	resume func() (struct{}, bool)
	cancel func()
	yield  func(struct{}) bool

	gen     uint64 // counts waits; see event.gen. Never reset.
	started bool
	waiting bool
	timed   bool // a timer for the present wait is queued
	killed  bool // to be unwound: the host refuses everything
	done    bool
	refused int

	// The present wait: through whom, and how it ended.
	via   *Host
	on    *Event
	woken wakeKind
	reply *message
	lost  error // with wakeDown: why no connection was made; may be nil
	// The call it waits for is in the list of its connection's end.
	callEnd            *end
	callPrev, callNext *task

	// Neighbours in the list of the owner's tasks.
	prev, next *task
}

// taskList is a doubly linked list in the order of starting.
type taskList struct{ first, last *task }

func (l *taskList) add(t *task) {
	t.prev, t.next = l.last, nil
	if l.last != nil {
		l.last.next = t
	} else {
		l.first = t
	}
	l.last = t
}

func (l *taskList) remove(t *task) {
	if t.prev != nil {
		t.prev.next = t.next
	} else {
		l.first = t.next
	}
	if t.next != nil {
		t.next.prev = t.prev
	} else {
		l.last = t.prev
	}
	t.prev, t.next = nil, nil
}

// newTask makes a task of h (nil: of the test) that has not started.
func (w *World) newTask(h *Host, name string) *task {
	var t *task
	if n := len(w.idle); n > 0 {
		t = w.idle[n-1]
		w.idle = w.idle[:n-1]
	} else {
		t = &task{world: w}
		t.resume, t.cancel = iter.Pull(t.loop)
		w.coroutines = append(w.coroutines, t)
	}
	t.host, t.name = h, name
	if h != nil {
		h.tasks.add(t)
	} else {
		w.tasks.add(t)
	}
	return t
}

// begin queues the first run of t.
func (w *World) begin(t *task) {
	w.queue.push(event{at: w.now, gen: t.gen, task: t, kind: wakeStart})
}

// loop is the body of the coroutine: one function after the other.
func (t *task) loop(yield func(struct{}) bool) {
	t.yield = yield
	for {
		t.run()
		t.done = true
		if !yield(struct{}{}) {
			return
		}
	}
}

// run runs the task's function to its end. A real panic is kept for the
// scheduler, which raises it again with what one needs to replay it.
func (t *task) run() {
	defer func() {
		v := recover()
		if v == nil {
			return // ended, or runtime.Goexit (t.Fatal), which iter.Pull hands on
		}
		if _, ok := v.(unwinding); ok && t.killed {
			return
		}
		if t.world.failure == "" {
			t.world.failure = fmt.Sprintf("%s: %v\n\n%s", t.world.where(t), v, debug.Stack())
		}
	}()
	if t.serve != nil {
		t.serveCall()
	} else {
		t.f()
	}
}

// where names a task for a message to people, with all that replays it.
func (w *World) where(t *task) string {
	node, name := "test", "outside any task"
	if t != nil {
		name = "task " + t.name
		if t.host != nil {
			node = "node " + t.host.node.name
		}
	}
	return fmt.Sprintf("sim: seed %d, at %v, %s, %s", w.seed, w.Elapsed(), node, name)
}

// step lets t run until it blocks or ends.
func (w *World) step(t *task) {
	before := w.cur
	w.cur = t
	t.started = true
	t.resume()
	w.cur = before
	if t.done {
		w.retire(t)
	}
	if w.failure != "" {
		panic(w.failure)
	}
}

// retire puts a task whose function ended back into the stock.
func (w *World) retire(t *task) {
	if t.host != nil {
		t.host.tasks.remove(t)
	} else {
		w.tasks.remove(t)
	}
	t.gen++
	if t.serve != nil {
		w.free(t.serve)
	}
	t.host, t.f, t.serve, t.name = nil, nil, nil, ""
	t.via, t.on, t.reply, t.lost = nil, nil, nil, nil
	t.started, t.waiting, t.timed, t.killed, t.done, t.refused = false, false, false, false, false, 0
	w.idle = append(w.idle, t)
}

// wake ends the wait of t, for the reason given, when its turn comes.
func (w *World) wake(t *task, why wakeKind) {
	w.settle(t)
	w.queue.push(event{at: w.now, gen: t.gen, task: t, kind: why})
}

// settle decides the present wait of t: nothing else ends it any more.
func (w *World) settle(t *task) {
	t.gen++
	if t.timed {
		t.timed = false
		w.queue.cancelled()
	}
	t.unlink()
}

// unlink takes t out of whatever it waits in.
func (t *task) unlink() {
	if e := t.callEnd; e != nil {
		e.calls.remove(t)
		t.callEnd = nil
	}
	if t.on != nil {
		t.on.leave(t)
		t.on = nil
	}
}

// block gives the world back to the scheduler until the wait ends, after d
// nanoseconds at the latest.
func (t *task) block(h *Host, d int64) wakeKind {
	w := t.world
	t.via = h
	if d >= 0 {
		t.timed = true
		at := w.now + d
		if at < w.now { // beyond the end of time
			at = 1<<63 - 1
		}
		w.queue.push(event{at: at, gen: t.gen, task: t, kind: wakeTimer})
	}
	t.waiting = true
	ok := t.yield(struct{}{})
	t.waiting = false
	t.via = nil
	if !ok || t.killed {
		t.killed = true
		t.unlink()
		panic(unwinding{})
	}
	return t.woken
}

// kill unwinds t at the host call it waits in, running its deferred code.
func (w *World) kill(t *task) {
	if !t.started {
		t.killed = true
		w.retire(t)
		return
	}
	w.settle(t)
	t.killed = true
	w.step(t)
}

// refuse answers a host call of a task that should have ended.
func (t *task) refuse() error {
	t.refused++
	if t.refused > maxRefused {
		panic(t.world.where(t) + ": the task goes on although its host calls return ErrStopped")
	}
	return host.ErrStopped
}

// callList is a list of tasks that wait for replies over one connection.
type callList struct{ first, last *task }

func (l *callList) add(t *task) {
	t.callPrev, t.callNext = l.last, nil
	if l.last != nil {
		l.last.callNext = t
	} else {
		l.first = t
	}
	l.last = t
}

func (l *callList) remove(t *task) {
	if t.callPrev != nil {
		t.callPrev.callNext = t.callNext
	} else {
		l.first = t.callNext
	}
	if t.callNext != nil {
		t.callNext.callPrev = t.callPrev
	} else {
		l.last = t.callPrev
	}
	t.callPrev, t.callNext = nil, nil
}
