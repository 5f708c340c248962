package mapping

import (
	"time"

	"ircbridge/chat"
	"ircbridge/mapping/wire"
)

// Who leaves while the channel's keeper is out of reach leaves for the other
// members by vanishing, and would have his status back when he returns (former.go). His own
// node knows better: what it could not tell then, it tells with his next join.

// leaving is somebody of this node, and a channel that he left.
type leaving struct{ channel, nick string } // both folded

// maxUntold bounds the leavings that a node remembers.
const maxUntold = 1024

// untoldLocked hears how telling of a leaving went. Who was not let in, and takes the asking
// back, has not left: he may still have a status to return to.
func (s *Service) untoldLocked(ms *membership, nick string, j *job) {
	if heard := j.err == nil && j.res.Code == wire.Code_OK; !heard && ms.in && !ms.orphan {
		s.untold.put(leaving{ms.v.name, chat.Fold(nick)}, s.h.Now())
	}
}

// leftUntoldLocked reports whether somebody left a channel, and no keeper
// heard of it, within the time for which one that believes him vanished waits for him.
func (s *Service) leftUntoldLocked(channel, nick string) bool {
	at, ok := s.untold.get(leaving{channel, chat.Fold(nick)})
	return ok && s.h.Now().Sub(at) < formerLife*time.Millisecond
}
