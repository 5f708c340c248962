package overlay

import (
	"time"

	"ircbridge/host"
	"ircbridge/overlay/wire"
)

// Everything that changes an object, but for the uniting of two states, is a
// step: a batch of requests, a renewal, the end of a node. What its outcome
// depends on besides the state (time, chance) goes into the step, so that
// whoever makes the same steps has the same object.

// stepped is what came of a step.
type stepped struct {
	results [][]byte // of requests
	known   bool     // of a renewal
	changed bool     // a replica must make the step too
	resub   bool     // Nodes answers differently
	held    []uint64 // events that wait for a replica
}

// draws are the random numbers of a step: drawn by the keeper, and noted;
// taken from the note by replicas.
type draws struct {
	drawn []uint64
	fresh func() uint64 // nil at replicas
}

// next is the next number; 0 where the note is too short, as from a keeper
// whose rules are others.
func (d *draws) next() uint64 {
	if d.fresh != nil {
		x := d.fresh()
		d.drawn = append(d.drawn, x)
		return x
	}
	if len(d.drawn) == 0 {
		return 0
	}
	x := d.drawn[0]
	d.drawn = d.drawn[1:]
	return x
}

// step makes a step. draw is nil at replicas.
func (ob *object) step(w *wire.Step, cfg Config, draw func() uint64) (out stepped) {
	d := &draws{drawn: w.Drawn, fresh: draw}
	now := time.UnixMilli(w.AtMs)
	turn := func(from Stream, number uint64, f func(*Turn)) {
		at := now
		if at.Before(ob.clock) {
			at = ob.clock
		}
		t := &Turn{ob: ob, cfg: cfg, from: from, number: number, now: at, draws: d}
		before := ob.number
		f(t)
		out.resub = out.resub || t.resub
		out.changed = out.changed || t.resub || t.silent || ob.number != before
		out.held = append(out.held, t.held...)
	}
	switch what := w.What.(type) {
	case *wire.Step_Requests:
		stream, _ := streamFromWire(what.Requests.GetStream())
		out.results = ob.applyAll(stream, what.Requests.GetFirst(), what.Requests.GetItems(), now, cfg, func(n uint64, item []byte) (result []byte) {
			turn(stream, n, func(t *Turn) { result = ob.obj.Apply(t, item) })
			out.changed = true // its number is settled, whatever it did
			return result
		})
	case *wire.Step_Renewed:
		node := host.PeerID(what.Renewed.GetNode())
		turn(Stream{Node: node, Run: what.Renewed.GetRun()}, 0, func(t *Turn) {
			out.known = ob.obj.Renew(t, node, what.Renewed.GetRun(), what.Renewed.GetPayload())
		})
	case *wire.Step_Gone:
		node, keep := host.PeerID(what.Gone.GetNode()), what.Gone.GetKeep()
		ob.forgetStreams(node, keep)
		turn(Stream{}, 0, func(t *Turn) {
			ob.obj.NodeGone(t, node, keep)
			t.SubscribersChanged()
		})
	}
	if draw != nil {
		w.Drawn = d.drawn
	}
	return out
}

// applyAll makes those requests of a batch that were not made before, in
// order, and returns the results of all.
func (ob *object) applyAll(stream Stream, first uint64, items [][]byte, now time.Time, cfg Config, apply func(n uint64, item []byte) []byte) [][]byte {
	st := ob.streams[stream]
	if st == nil {
		st = new(streamState)
		ob.boundStreams(cfg.MaxStreams)
		ob.streams[stream] = st
	}
	st.used = now
	results := make([][]byte, len(items))
	fresh := false
	for i, item := range items {
		n := first + uint64(i)
		if n <= st.last {
			if back := st.last - n; back < uint64(len(st.results)) {
				results[i] = st.results[uint64(len(st.results))-1-back]
			}
			continue
		}
		fresh = true
		results[i] = apply(n, item)
		st.last = n
	}
	if fresh {
		st.results = results
	}
	return results
}

// boundStreams forgets the origin that was silent longest when there are too
// many. Its repeats are still dropped where they would be shown.
func (ob *object) boundStreams(most int) {
	if len(ob.streams) < most {
		return
	}
	var oldest Stream
	var at time.Time
	// any order: the oldest, and among equals the least, is chosen
	for s, st := range ob.streams {
		if at.IsZero() || st.used.Before(at) || st.used.Equal(at) && s.Compare(oldest) < 0 {
			oldest, at = s, st.used
		}
	}
	delete(ob.streams, oldest)
}

// forgetStreams drops those of a node's runs, all but keep.
func (ob *object) forgetStreams(node host.PeerID, keep uint64) {
	// any order: each is dropped or not for itself
	for s := range ob.streams {
		if s.Node == node && (keep == 0 || s.Run != keep) {
			delete(ob.streams, s)
		}
	}
}

// keeperStepLocked makes a step as the keeper, gives it to the replicas, and
// pushes what need not wait for them.
func (o *Overlay) keeperStepLocked(ob *object, w *wire.Step) stepped {
	w.AtMs = o.clockOf(ob).UnixMilli()
	before := ob.number
	out := ob.step(w, o.cfg, o.h.Rand)
	if out.resub {
		ob.subscribe()
	}
	if out.changed {
		o.recordLocked(ob, w, before+1, out.held)
	}
	if ob.number != before || out.resub {
		// any order: each for itself
		for _, c := range ob.cursors {
			if c.number == before {
				c.moved = o.h.Now() // it owed nothing until now
			}
		}
		o.pushLocked(ob)
	}
	return out
}

// clockOf is the hybrid clock of an object, in whole milliseconds as it
// travels: now, but never behind its last event.
func (o *Overlay) clockOf(ob *object) time.Time {
	now := time.UnixMilli(o.h.Now().UnixMilli())
	if now.Before(ob.clock) {
		return ob.clock
	}
	return now
}
