package chord

import "time"

// A node may stand still for a while and go on (SIGSTOP, a laptop's lid). What
// waited in its connections meanwhile is old, though it arrives only now, and
// whoever seems not to have answered may have done so.

// watchLoop notices that this node stood still: a task that does nothing but
// sleep did not run in time. Tasks that ask others cannot tell, as they wait
// for those who do not answer.
func (r *Ring) watchLoop() {
	for {
		now := r.h.Now()
		r.mu.Lock()
		if !r.tick.IsZero() && now.Sub(r.tick) > r.stoodFor() {
			r.awoke = now
			r.log.Info("this node stood still", "node", r.id, "for", now.Sub(r.tick))
		}
		r.tick = now
		over := r.state == left
		r.mu.Unlock()
		if over || r.h.Sleep(r.cfg.StabilizePeriod) != nil {
			return
		}
	}
}

// stoodFor is the time without a sign of the watching task after which a node
// has stood still.
func (r *Ring) stoodFor() time.Duration { return 3 * r.cfg.StabilizePeriod }

// drowsyLocked reports whether a sign of life that seems new may be an old one.
func (r *Ring) drowsyLocked(now time.Time) bool {
	return r.running && now.Sub(r.tick) > r.stoodFor() || now.Sub(r.awoke) < r.stoodFor()
}
