package sim

// An event is one thing that happens at one instant: a task wakes, or a
// message reaches the end of a connection. Exactly one of task and msg is set.
type event struct {
	at   int64  // virtual nanoseconds since the world began
	seq  uint64 // order of scheduling: breaks ties, so that a seed replays
	gen  uint64 // for a task: which of its waits this ends; others are stale
	task *task
	msg  *message
	kind wakeKind // for a task
}

// stale reports whether the wait that a timer was set for has ended already.
// Timers are not taken out of the queue when a reply comes first: they are
// dropped when their turn comes, or when they are the greater part of it.
func (e *event) stale() bool { return e.task != nil && e.task.gen != e.gen }

func (e *event) before(o *event) bool {
	return e.at < o.at || e.at == o.at && e.seq < o.seq
}

// queue is a heap of events, the earliest first, with four children to a node
// (half the depth of a binary one, and the children share cache lines).
type queue struct {
	heap []event
	next uint64 // seq of the next event
	dead int    // at least so many of heap are stale
}

func (q *queue) push(e event) {
	e.seq = q.next
	q.next++
	q.heap = append(q.heap, e)
	q.up(len(q.heap) - 1)
}

func (q *queue) up(i int) {
	h := q.heap
	e := h[i]
	for i > 0 {
		parent := (i - 1) / 4
		if !e.before(&h[parent]) {
			break
		}
		h[i] = h[parent]
		i = parent
	}
	h[i] = e
}

func (q *queue) down(i int) {
	h := q.heap
	e := h[i]
	for {
		first := 4*i + 1
		if first >= len(h) {
			break
		}
		least := first
		for c := first + 1; c < min(first+4, len(h)); c++ {
			if h[c].before(&h[least]) {
				least = c
			}
		}
		if !h[least].before(&e) {
			break
		}
		h[i] = h[least]
		i = least
	}
	h[i] = e
}

// pop takes the earliest event that is not stale; ok is false when none is
// left or the earliest is later than until.
func (q *queue) pop(until int64) (e event, ok bool) {
	for len(q.heap) > 0 {
		top := &q.heap[0]
		old := top.stale()
		if !old && top.at > until {
			return event{}, false
		}
		e = *top
		last := len(q.heap) - 1
		q.heap[0] = q.heap[last]
		q.heap[last] = event{}
		q.heap = q.heap[:last]
		if last > 0 {
			q.down(0)
		}
		if !old {
			return e, true
		}
		q.dead = max(q.dead-1, 0)
	}
	return event{}, false
}

// cancelled counts a timer that became stale, and sweeps the queue when most
// of it is.
func (q *queue) cancelled() {
	q.dead++
	if q.dead < 1024 || q.dead < len(q.heap)/2 {
		return
	}
	kept := q.heap[:0]
	for i := range q.heap {
		if !q.heap[i].stale() {
			kept = append(kept, q.heap[i])
		}
	}
	clear(q.heap[len(kept):])
	q.heap = kept
	q.dead = 0
	for i := (len(kept) - 2) / 4; i >= 0 && len(kept) > 1; i-- {
		q.down(i)
	}
}
