package bridge

import (
	"context"
	"math/rand/v2"
	"time"

	"ircbridge/host"
)

// Of meeting nodes that are found on the local network.
const (
	maxFound  = 64              // that wait to be met; the next ones are left out
	maxMet    = 1024            // that were told of
	yieldTime = 2 * time.Second // at most, in which the other one of two may go first
)

// discover begins to look for nodes of the same overlay on the local network,
// and returns where they come in; nil when the configuration turns that off.
func (n *Node) discover(p *parts) chan host.Peer {
	if !n.cfg.Node.Discovery {
		return nil
	}
	found := make(chan host.Peer, maxFound)
	err := p.host.Discover(func(peer host.Peer) {
		select {
		case found <- peer:
		default: // it is found again some minutes later
		}
	})
	if err != nil {
		n.say("Nodes on the local network cannot be found (%v); name them with -join.", err)
		p.log.Warn("no discovery on the local network", "err", err)
	}
	return found
}

// meet joins through a node that was found on the local network, or introduces
// it to the ring of this one.
func (j *joiner) meet(ctx context.Context, p host.Peer) {
	// Two nodes that find each other would leave for each other's ring at
	// the same moment: one of them waits a little.
	if j.mayJoin() && p.ID < j.self && !wait(ctx, yieldTime/2+rand.N(yieldTime/2)) {
		return
	}
	if !j.mayJoin() {
		if !j.knows(p.ID) {
			j.tellFound(p.ID, "Found another node on the local network (peer %s).")
		}
		j.introduce(p)
		return
	}
	if err := j.join([]host.Peer{p}, joinTime); err != nil {
		j.tellFound(p.ID, "A node was found on the local network (peer %s), but its ring did not take this one in; trying again.")
		j.log.Warn("cannot join", "through", "a node on the local network", "peer", p.ID, "err", err)
		j.introduce(p) // the ring tries those that it was told of
		return
	}
	j.lone = false
	j.say("Joined the ring through a node found on the local network (peer %s).", p.ID)
	j.log.Info("joined the ring", "through", "a node on the local network", "peer", p.ID)
	j.isIn()
}

// mayJoin reports whether no other node would be left behind.
func (j *joiner) mayJoin() bool { return !j.begun || j.alone() }

// knows reports whether the ring knows a node.
func (j *joiner) knows(id host.PeerID) bool {
	for _, p := range j.known() {
		if p.ID == id {
			return true
		}
	}
	return false
}

// tellFound says something of a node once.
func (j *joiner) tellFound(id host.PeerID, text string) {
	if j.met[id] {
		return
	}
	if len(j.met) >= maxMet {
		clear(j.met)
	}
	j.met[id] = true
	j.say(text, id)
}
