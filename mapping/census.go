package mapping

import (
	"context"
	"time"

	"ircbridge/chat"
	"ircbridge/host"
	"ircbridge/mapping/wire"
	"ircbridge/overlay"
)

// The census: each node enters in the directory how many users and channels it
// keeps, secret ones too, and renews that as listings are renewed; entries of
// nodes that are gone lapse. A shard answers with the sum of its entries, so to
// count the overlay takes sixteen small questions. A node asks them when
// somebody is here who could want to know, and now and then only: what LUSERS
// shows is some ten seconds old, and right when nobody comes or goes.

// census is what a node knows of the whole overlay. Service.mu guards it.
type census struct {
	entered  figures // what this node entered last
	renewed  time.Time
	shards   [len(shards)]figures // what each said last
	counted  time.Time
	changing bool // the last count differed from the one before
	alone    bool // so was this node when it counted
}

// all is the sum of what the shards said last.
func (c *census) all() (sum figures) {
	for _, f := range c.shards {
		sum.users += f.users
		sum.channels += f.channels
		sum.nodes += f.nodes
	}
	return sum
}

// figures are what is counted.
type figures struct{ users, channels, nodes int }

func (f figures) max(g figures) figures {
	return figures{max(f.users, g.users), max(f.channels, g.channels), max(f.nodes, g.nodes)}
}

const (
	entryPause = 10 * time.Second // between two entries that differ
	countPause = 30 * time.Second // between two counts while they differ; else twice that
)

// Keeps says how many nicks that somebody holds, and how many channels with
// members, are kept by this node.
func (s *Service) Keeps() (nicks, channels int) {
	s.o.Visit(kindNick, func(_ string, obj overlay.Object) {
		if n, ok := obj.(*nickObject); ok && n.holder() != nil {
			nicks++
		}
	})
	return nicks, len(s.keptChannels())
}

// keptChannels lists the channels with members that this node keeps.
func (s *Service) keptChannels() (names []string) {
	s.o.Visit(kindChannel, func(name string, obj overlay.Object) {
		if c, ok := obj.(*channelObject); ok && len(c.s.members) > 0 {
			names = append(names, name)
		}
	})
	return names
}

// enterSelf enters this node's own figures, when they are new or to be renewed.
func (s *Service) enterSelf() {
	s.mu.Lock()
	since, old := s.h.Now().Sub(s.census.renewed), s.census.entered
	s.mu.Unlock()
	if since < entryPause {
		return
	}
	now := figures{nodes: 1}
	now.users, now.channels = s.Keeps()
	if now == old && since < renewEntry {
		return
	}
	entry := &wire.Census{Users: uint32(min(now.users, maxFigure)), Channels: uint32(min(now.channels, maxFigure))}
	if s.enter(shardOfNode(nodeID(s.self)), &wire.Listings{Census: []*wire.Census{entry}}) != nil {
		return // the next round tries again
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.census.entered, s.census.renewed = now, s.h.Now()
}

// countOverlay counts when it is time to.
func (s *Service) countOverlay() {
	alone, now := s.cfg.Ring.Alone(), s.h.Now()
	s.mu.Lock()
	c := &s.census
	pause := countPause * time.Duration(1+c.all().nodes/1000) // no shard is asked by all too often
	if !c.changing {
		pause *= 2
	}
	due := c.counted.IsZero() || c.alone != alone || len(s.sessions) > 0 && now.Sub(c.counted) >= pause
	before := c.shards
	if due {
		c.counted, c.alone = now, alone
	}
	s.mu.Unlock()
	if !due {
		return
	}
	s.readDirectory(context.Background(), &wire.DirectoryQuery{Census: true}, s.cfg.GiveUp, func(shard int, w *wire.Listings) {
		t := w.GetTotal()
		c.shards[shard] = figures{
			users: int(min(t.GetUsers(), maxCensus*maxFigure)), channels: int(min(t.GetChannels(), maxCensus*maxFigure)),
			nodes: int(min(t.GetNodes(), maxCensus)),
		}
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	c.changing = c.shards != before
}

// Counts implements chat.Service.
func (s *Service) Counts() chat.Counts {
	kept := s.keptChannels()
	nodes := map[host.PeerID]bool{s.self: true}
	if s.cfg.Neighbours != nil {
		for _, id := range s.cfg.Neighbours() {
			nodes[id] = true
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.census.all().max(s.seenLocked(kept, nodes))
	return chat.Counts{LocalUsers: len(s.sessions), KnownUsers: all.users, KnownChannels: all.channels, KnownNodes: all.nodes}
}

// seenLocked counts what this node sees itself: the channels it keeps, the nodes
// it knows, and who and what is in its views.
func (s *Service) seenLocked(kept []string, nodes map[host.PeerID]bool) figures {
	others := map[overlay.Stream]bool{} // not those of this node, of whom there may be thousands
	channels := map[string]bool{}
	for name, v := range s.views { // any order: counted
		if v.state == nil {
			continue
		}
		channels[name] = true
		for who := range v.state.members { // any order: counted
			if who.Node == s.self && who.Run == s.run && s.sessions[who.Session] != nil {
				continue
			}
			others[who] = true
			nodes[who.Node] = true
		}
	}
	for _, name := range kept {
		channels[name] = true
	}
	return figures{users: len(s.sessions) + len(others), channels: len(channels), nodes: len(nodes)}
}
