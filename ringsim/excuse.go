package ringsim

import (
	"slices"
	"time"

	"ircbridge/chord/ringcheck"
	"ircbridge/history"
	"ircbridge/overlay"
)

// What may be lost, decided when a fault happens and before anything comes of
// it.
const (
	// mendTime is how long after a cut was mended the two sides may still not
	// have told each other all: the ring becomes one, then its objects do.
	mendTime = 20 * time.Second
	// copyTime is how long after a node is lost its objects may be without one
	// of their copies.
	copyTime = 10 * time.Second
	// underWay is how long what was acknowledged may be on its way to a member.
	underWay = time.Second
	// diskTime is how long a change may take until it is on the disks of those who have
	// it: until the object is written, and until that is committed.
	diskTime = 2500 * time.Millisecond
	// doubtTime is how long after nodes or the network were slow there may be two who
	// take themselves for the keeper of one key.
	doubtTime = 5 * time.Second
	// comeTime is how long a user who connects again may be shown late, so that
	// he is not seen twice.
	comeTime = 4 * time.Second
	// heirTime is how long the next keeper may need, and a view that lacks what went
	// out before may hold back what its sender said next.
	heirTime = 4 * time.Second
	// never is a time after all others.
	never time.Duration = 1<<63 - 1
)

// A split is a time in which some nodes could not be told what others were.
type split struct {
	from, to time.Duration
	sides    [][]*node
	each     bool // each of their users by himself
}

func (r *run) split(from, to time.Duration, sides ...[]*node) *split {
	s := &split{from: from, to: to, sides: sides}
	r.splits = append(r.splits, s)
	return s
}

// channelKey is the key of a channel on the ring.
func channelKey(i int) ringcheck.ID {
	return ringcheck.ID(overlay.Key("channel", channelName(i)))
}

// keepers are the running node to which a key belongs, and those after it.
func (w *network) keepers(key ringcheck.ID, n int) []*node {
	return w.keepersOf(w.running(), key, n)
}

// keepersOf are those that keep a key when the ring is made of some nodes.
func (w *network) keepersOf(nodes []*node, key ringcheck.ID, n int) (list []*node) {
	var ring []ringcheck.Node
	for _, x := range nodes {
		ring = append(ring, ringcheck.Node{Name: x.name(), ID: ringcheck.ID(x.ring.Self().ID)})
	}
	if len(ring) == 0 {
		return nil
	}
	for _, k := range ringcheck.Sort(ring).Keepers(key, n) {
		list = append(list, nodes[slices.IndexFunc(nodes, func(x *node) bool { return x.name() == k.Name })])
	}
	return list
}

// excuse is called when nodes are about to be killed (their time of going is
// set). Where the keeper of a channel and a replica have gone within the time
// that it takes to make new copies, what it answered last may have been with
// these two only.
func (r *run) excuse() {
	now := r.net.Elapsed()
	groups := make(map[int][]*node) // those that formed the ring before
	for _, n := range r.net.nodes {
		recently := n.gone > n.came && n.gone > now-copyTime
		if n.came < now && (n.gone <= n.came && n.up() || recently) {
			groups[n.group] = append(groups[n.group], n)
		}
		if n.gone == now {
			r.untold(n.chat.Node().Host, now-r.underWay())
		}
	}
	for group := range len(r.plan.faults) + 1 {
		for ch := range r.plan.channels {
			r.excuseChannel(now, ch, groups[group])
		}
	}
}

func (r *run) excuseChannel(now time.Duration, ch int, ring []*node) {
	lost, first := 0, now
	keepers := r.net.keepersOf(ring, channelKey(ch), overlayCopies)
	for i, n := range keepers {
		if n.gone <= n.came {
			continue
		}
		if i == 0 || lost > 0 {
			lost++
			first = min(first, n.gone)
		}
	}
	last := slices.DeleteFunc(slices.Clone(ring), func(n *node) bool { return n.gone > n.came && n.gone < now })
	if k := r.net.keepersOf(last, channelKey(ch), 1); len(k) > 0 && k[0].gone == now {
		r.breaks = append(r.breaks, history.Break{Channel: channelName(ch), From: now, To: now + heirTime})
	}
	before := r.underWay()
	if lost > 1 || lost > 0 && len(keepers) == 1 {
		r.excuses = append(r.excuses, history.Excuse{Channel: channelName(ch), From: first - before, To: now + underWay, Why: "the keeper and a replica were lost together"})
		r.unheard(channelName(ch), first-diskTime)
	}
}

// underWay is how long what was asked or said may be on its way now.
func (r *run) underWay() time.Duration {
	if r.watch.unsure > 0 {
		return doubtTime // what is not answered is told again
	}
	return underWay
}

// overlayCopies is how many nodes have an object, its keeper included.
const overlayCopies = 3

// told gives the history what is allowed.
func (r *run) told(h *history.History) {
	for _, s := range r.splits {
		var sides [][]history.Client
		for _, side := range s.sides {
			var clients []history.Client
			for _, u := range r.users {
				if slices.Contains(side, u.node) {
					clients = append(clients, u.clients...)
				}
			}
			for s.each && len(clients) > 1 {
				sides = append(sides, clients[:1])
				clients = clients[1:]
			}
			sides = append(sides, clients)
		}
		h.Split(s.from, s.to, sides...)
	}
}
