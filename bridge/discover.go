package bridge

import (
	"context"
	"math/rand/v2"
	"time"

	"ircbridge/host"
)

// Of meeting nodes that are found on the local network.
const (
	maxMet    = 1024            // that were told of
	yieldTime = 2 * time.Second // at most, in which the other one of two may go first
)

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
