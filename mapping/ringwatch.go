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

// watchPause is the pause between two looks at the ring.
const watchPause = time.Second

// ringWatch tells all sessions when the node is alone that had company, and
// when it has company again. It looks twice before it says so: a ring may lose
// its last neighbour and find another.
func (s *Service) ringWatch() {
	company, lost, looks := false, false, 0
	for s.h.Sleep(watchPause) == nil {
		switch {
		case !s.cfg.Ring.Member():
			looks = 0
		case !s.cfg.Ring.Alone():
			if lost {
				s.tellAll(ringBack)
			}
			company, lost, looks = true, false, 0
		case company && !lost:
			if looks++; looks == 2 {
				lost = true
				s.tellAll(ringLost)
			}
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
