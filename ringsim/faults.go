package ringsim

import (
	"slices"
	"time"

	"ircbridge/history"
	"ircbridge/host/sim"
)

// inject lets the faults of the plan happen, and takes each back in its time. It
// is called in a task, when the faults begin, and returns when the last has
// begun.
func (r *run) inject() {
	start := r.net.Elapsed()
	for i, f := range r.plan.faults {
		r.net.Sleep(start + f.at - r.net.Elapsed())
		r.log.say("fault", "%v", f)
		r.apply(i+1, f)
	}
	r.net.Sleep(start + r.plan.lasts - r.net.Elapsed())
}

// apply lets one fault happen; number is its own.
func (r *run) apply(number int, f fault) {
	switch f.kind {
	case crash, killAll, killKeep:
		r.kill(r.victims(f), f)
	case leave:
		for _, n := range r.victims(f) {
			r.watch.fault(true)
			n.leave()
			n.returns = f.lasts > 0
			r.later(f, func() { r.restart(n) })
		}
	case join:
		for range f.nodes {
			r.net.add(r.rng, 0)
		}
	case partition:
		r.part(number, f)
	case cutOneWay:
		r.cut(f)
	case lossy:
		r.watch.doubt()
		r.doubt(f)
		r.net.SetFaults(f.rates)
		r.later(f, func() {
			r.net.SetFaults(sim.Faults{})
			r.watch.calm()
		})
	case slow:
		for _, n := range r.victims(f) {
			r.watch.doubt()
			r.doubt(f)
			r.net.slow[n.name()] = f.delay
			r.split(r.net.Elapsed(), r.net.Elapsed()+f.lasts+mendTime, []*node{n}).each = true // it may be taken for dead, now and again
			r.later(f, func() {
				delete(r.net.slow, n.name())
				r.watch.calm()
			})
		}
	case pause:
		for _, n := range r.victims(f) {
			r.pause(n, f)
		}
	case move:
		for _, n := range r.victims(f) {
			r.moves++
			r.watch.fault(false)
			r.split(r.net.Elapsed(), r.net.Elapsed()+mendTime, []*node{n})
			r.net.Move(n.h, n.name()+"-"+number2(r.moves))
		}
	}
}

// doubt notes a time in which a living keeper may be taken for dead.
func (r *run) doubt(f fault) {
	now := r.net.Elapsed()
	r.breaks = append(r.breaks, history.Break{From: now, To: now + f.lasts + doubtTime})
}

func number2(n int) string { return string(rune('a'+n/26)) + string(rune('a'+n%26)) }

// later takes a fault back, unless it stays for ever.
func (r *run) later(f fault, undo func()) {
	if f.lasts <= 0 {
		return
	}
	r.undoing++
	r.net.Go("undo", func() {
		r.net.Sleep(f.lasts)
		r.log.say("fault", "over: %v", f)
		undo()
		r.undoing--
	})
}

// victims are the nodes that a fault is about and that run. At least two nodes
// are left, but for faults that are about all.
func (r *run) victims(f fault) []*node {
	var list []*node
	switch f.kind {
	case killAll:
		return r.net.running()
	case killKeep:
		list = r.net.keepers(channelKey(f.channel), len(f.nodes))
	default:
		for _, i := range f.nodes {
			list = append(list, r.net.nodes[i])
		}
	}
	list = slices.DeleteFunc(list, func(n *node) bool { return !n.up() || n.leaving || n.paused })
	left := len(r.net.running()) - len(list)
	for _, n := range r.net.nodes {
		if n.up() && (n.leaving || n.paused) {
			left--
		}
	}
	if left < 2 && f.kind != partition && f.kind != cutOneWay {
		return nil
	}
	return list
}

func (r *run) kill(nodes []*node, f fault) {
	if len(nodes) == 0 {
		return
	}
	for _, n := range nodes {
		n.gone, n.returns = r.net.Elapsed(), f.lasts > 0
		r.log.say("fault", "%s is killed", n.name())
	}
	r.excuse()
	for _, n := range nodes {
		r.net.Crash(n.h)
	}
	r.watch.fault(f.kind != killAll)
	for _, n := range nodes {
		f := f
		if f.kind == killAll {
			f.lasts += time.Duration(r.rng.Int64N(int64(2 * time.Second)))
		}
		r.later(f, func() { r.restart(n) })
	}
}

// restart starts a node again. Where none of the nodes runs that it was told of, or
// their answers may be lost, it begins a ring of its own, until it finds the others; those that start
// together may do so in several rings.
func (r *run) restart(n *node) {
	if n.up() {
		return
	}
	r.watch.fault(true)
	if r.watch.unsure > 0 || !slices.ContainsFunc(r.net.nodes, func(o *node) bool {
		return slices.Contains(n.told, o.h.Addr()) && o.awake() && o.came+copyTime < r.net.Elapsed() && o.group == n.group
	}) {
		r.watch.fault(false)
		r.split(r.net.Elapsed(), r.net.Elapsed()+mendTime, []*node{n})
	}
	n.restart()
}

// part cuts nodes off from all others.
func (r *run) part(number int, f fault) {
	var names []*node
	for _, i := range f.nodes {
		n := r.net.nodes[i]
		n.group = number
		names = append(names, n)
	}
	r.watch.fault(false)
	r.excuse()
	r.regroup()
	from := r.net.Elapsed()
	s := r.split(from, never, names)
	r.later(f, func() {
		for _, n := range names {
			if n.group == number {
				n.group = 0
			}
		}
		r.regroup()
		s.to = r.net.Elapsed() + mendTime
	})
}

// regroup makes the network's partition that of the nodes' groups.
func (r *run) regroup() {
	groups := make([][]*sim.Host, len(r.plan.faults)+1)
	r.net.parted = false
	for _, n := range r.net.nodes {
		if n.group > 0 {
			groups[n.group] = append(groups[n.group], n.h)
			r.net.parted = true
		}
	}
	r.net.Partition(groups[1:]...)
}

// cut stops what the first node sends to the second.
func (r *run) cut(f fault) {
	a, b := r.net.nodes[f.nodes[0]], r.net.nodes[f.nodes[1]]
	r.watch.doubt()
	s := r.split(r.net.Elapsed(), never, []*node{a}, []*node{b})
	r.net.Cut(a.h, b.h)
	r.later(f, func() {
		r.net.Mend(a.h, b.h)
		s.to = r.net.Elapsed() + mendTime
		r.watch.calm()
	})
}

// pause lets a node stand still.
func (r *run) pause(n *node, f fault) {
	h := n.h
	n.paused, n.gone = true, r.net.Elapsed()
	r.watch.fault(false)
	r.excuse()
	r.net.Pause(h)
	s := r.split(r.net.Elapsed(), never, []*node{n})
	r.later(f, func() {
		s.to = r.net.Elapsed() + mendTime
		if n.h == h {
			n.paused, n.came = false, r.net.Elapsed()
			r.watch.fault(false)
			r.net.Resume(h)
		}
	})
}
