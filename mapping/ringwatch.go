package mapping

import (
	"time"

	"ircbridge/chat"
)

// What users are told when their node is cut off, and when it is back.
const (
	ringLost = "This node has lost all other nodes: what you say reaches its own users only. It goes on trying."
	ringBack = "This node has found other nodes again."
)

// watchPause is the pause between two looks at the ring, and companyWait how
// long its neighbours have to answer when some of them are missed.
const (
	watchPause  = time.Second / 2
	companyWait = time.Second
)

// ringWatch tells all sessions when the node is alone that had company, and
// when it has company again. It looks twice before it says so: a ring may lose
// its last neighbour and find another. When neighbours are missed it asks the
// others itself, as the ring drops one after the other.
func (s *Service) ringWatch() {
	company, lost, looks, drops := false, false, 0, s.o.Drops()
	for s.h.Sleep(watchPause) == nil {
		switch {
		case !s.cfg.Ring.Member():
			looks = 0
			continue
		case s.cfg.Ring.Alone():
			looks++
		case !lost && looks == 0 && s.o.Drops() == drops:
			company = true
			continue
		case !s.o.Company(companyWait):
			looks++
		default:
			if lost {
				s.tellAll(ringBack)
			}
			company, lost, looks, drops = true, false, 0, s.o.Drops()
			continue
		}
		if company && !lost && looks >= 2 {
			lost = true
			s.tellAll(ringLost)
		}
	}
}

// tellAll gives every session of this node a notice.
func (s *Service) tellAll(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.h.Now()
	for _, n := range sortedKeys(s.sessions) {
		s.sessions[n].pushLocked(chat.Notice{Text: text, At: now})
	}
}
