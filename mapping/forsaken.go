package mapping

// forsaken is a request to a channel whose asker was told that the network did not answer. Should it have been
// done all the same, he is shown what came of it as the others are.
type forsaken struct {
	channel string // folded
	number  uint64
}

// maxForsaken bounds those that a session remembers.
const maxForsaken = 256

// forsakeLocked notes that nobody waits for a request any more.
func (se *session) forsakeLocked(name string, j *job) {
	if se.forsaken == nil || len(se.forsaken) >= maxForsaken {
		se.forsaken = map[forsaken]struct{}{}
	}
	if v := se.s.views[name]; v == nil || v.seen[se.stream] < j.number { // else it has been shown as his own
		se.forsaken[forsaken{name, j.number}] = struct{}{}
	}
}

// takeForsakenLocked reports whether a request that has been done is one of these.
func (se *session) takeForsakenLocked(name string, number uint64) bool {
	f := forsaken{name, number}
	_, was := se.forsaken[f]
	delete(se.forsaken, f)
	return was
}
