package ringsim

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// probePause is the pause between two probes of a channel, and so the precision
// of what is measured.
const probePause = 50 * time.Millisecond

// recover measures how long after the faults messages pass again, and all agree.
func (r *run) recover() {
	start := r.net.Elapsed()
	bound := patience
	if r.options.Mode == Liveness {
		bound = messagesPass
	}
	for _, u := range r.users {
		u.quiet = true // but for probes, and for connecting again
	}
	r.probing = "probe "
	left := r.plan.channels
	for ch := range r.plan.channels {
		r.net.Go("probe", func() {
			r.probe(channelName(ch), start, bound)
			left--
		})
	}
	if r.options.Mode == Liveness {
		bound = allAgree
	}
	err := fmt.Errorf("not looked at")
	for ; err != nil && r.net.Elapsed() < start+bound; r.net.Sleep(200 * time.Millisecond) {
		if err = r.agree(); err == nil {
			r.result.Agreed = r.net.Elapsed() - start
		}
	}
	for left > 0 {
		r.net.Sleep(probePause)
	}
	if err != nil {
		r.wrong("%v after the faults ended, still: %v", bound, err)
	}
}

// probe sends messages to a channel until all its members have got one that was
// sent after the faults.
func (r *run) probe(channel string, start, bound time.Duration) {
	for r.net.Elapsed() < start+bound {
		in := r.inside(channel)
		if len(in) == 0 {
			return
		}
		if !slices.ContainsFunc(in, func(u *user) bool { return !u.probes[channel] }) {
			r.result.Pass = append(r.result.Pass, r.net.Elapsed()-start)
			return
		}
		in[0].send(channel, r.probing)
		r.net.Sleep(probePause)
	}
	if in := r.inside(channel); len(in) > 0 {
		r.wrong("%v after the faults ended, messages do not pass in %s among %d members", bound, channel, len(in))
	}
}

// probed notes that a user saw a message that was sent after the faults.
func (r *run) probed(u *user, channel, text string) {
	if r.probing != "" && strings.HasPrefix(text, r.probing) {
		u.probes[channel] = true
	}
}
