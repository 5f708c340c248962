package mapping

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"ircbridge/chat"
	"ircbridge/host"
	"ircbridge/mapping/wire"
	"ircbridge/overlay"
)

const foreverWait = host.Forever

// A lane carries the requests of one stream to one object (or the letters of a
// session to one user) in order: one batch in flight, the next one after it
// (rule 2 of package chat). A task drains it while there is anything in it.
// Service.mu guards all of it.
type lane struct {
	s         *Service
	kind      string // an object's kind, or kindLetters
	name      string // folded; of the object, the nick or the node
	stream    overlay.Stream
	last      *uint64 // number of the last job
	waiting   []*job
	busy      bool              // its task runs
	unseen    map[uint64]*job   // messages whose event is to come (or may yet)
	confirmed uint64            // number of the last message that somebody has seen
	progress  host.Event        // signalled when something of a watched batch was seen
	reported  map[uint64]string // beginnings of the last messages that were given up
}

const kindLetters = "letters"

// job is one request in a lane.
type job struct {
	lane   *lane
	number uint64
	req    []byte
	queued time.Time
	finish func(*job)    // with the outcome, under the lock; may be nil
	notice host.Event    // of the outcome; nil if nobody may wait
	send   *sending      // a message: what its outcome needs
	words  *wire.Message // of a message to a channel
	lett   *wire.Letter  // of a letter
	done   bool          // the outcome is known
	res    *wire.Result  // when err is nil
	err    error         // ErrUnreachable, wrapped, or another of chat's
	open   func() bool   // accepted, but not yet seen in the view; nil: the answer is enough
	away   string        // of the receiver of a letter
}

// sending is what a Send keeps until its outcome.
type sending struct {
	se      *session
	number  uint64 // of the Send
	msg     chat.Outgoing
	settled bool

	forwarded bool // to the home of the channel
}

// Bounds of one batch; the overlay's own are a little above.
const (
	maxBatch      = overlay.MaxBatch
	maxBatchBytes = overlay.MaxBatchBytes - 4096
)

// laneLocked is the session's lane to an object.
func (se *session) laneLocked(kind, name string) *lane {
	key := kind + "\x00" + name
	if l := se.lanes[key]; l != nil {
		return l
	}
	se.dropIdleLanesLocked()
	l := &lane{s: se.s, kind: kind, name: name, stream: se.stream, last: new(uint64)}
	if kind == kindChannel {
		l.unseen, l.progress = map[uint64]*job{}, se.s.h.NewEvent()
	}
	if kind == kindLetters {
		l.last = &se.lastLetter // one count for all: lanes come and go
	} else {
		*l.last = se.counters[key]
	}
	se.lanes[key] = l
	return l
}

// maxLanes bounds the lanes that a session keeps while they are idle.
const maxLanes = 256

func (se *session) dropIdleLanesLocked() {
	if len(se.lanes) < maxLanes {
		return
	}
	for _, k := range sortedKeys(se.lanes) {
		if l := se.lanes[k]; !l.busy && len(l.waiting) == 0 && len(l.unseen) == 0 {
			if l.kind != kindLetters {
				if se.counters == nil {
					se.counters = map[string]uint64{}
				}
				se.counters[k] = *l.last // numbers go on where they ended
			}
			delete(se.lanes, k)
		}
	}
}

// addLocked puts a request at the end; build makes it, given its number.
func (l *lane) addLocked(build func(number uint64) []byte, finish func(*job)) *job {
	*l.last++
	j := &job{lane: l, number: *l.last, queued: l.s.h.Now(), finish: finish, notice: l.s.h.NewEvent()}
	j.req = build(j.number)
	l.pushLocked(j)
	return j
}

func (l *lane) pushLocked(j *job) {
	l.waiting = append(l.waiting, j)
	if !l.busy {
		l.busy = true
		l.s.running++
		l.s.h.Go("mapping lane", l.run)
	}
}

// run drains the lane.
func (l *lane) run() {
	for {
		l.s.mu.Lock()
		batch := l.takeLocked()
		if len(batch) == 0 {
			l.busy = false
			if l.s.running--; l.s.running == 0 {
				l.s.idle.Signal()
			}
			if se := l.s.ending[l.stream.Session]; se != nil {
				se.endedLocked()
			}
			l.s.mu.Unlock()
			return
		}
		d := l.patienceLocked(batch)
		l.s.mu.Unlock()
		end := l.s.h.Now().Add(d)
		results, err := l.carry(batch, d)
		l.s.mu.Lock()
		l.outcomeLocked(batch, results, err, end.Sub(l.s.h.Now()) <= l.slack())
		l.s.mu.Unlock()
		if err == nil && l.kind == kindChannel {
			l.watch(batch)
		}
	}
}

// patienceLocked is how long a batch may take: until its first job has waited
// GiveUp, and a moment at least.
func (l *lane) patienceLocked(batch []*job) time.Duration {
	left := l.s.cfg.GiveUp - l.s.h.Now().Sub(batch[0].queued)
	return max(left, l.s.cfg.GiveUp/20)
}

// slack is how early a job may be given up, as waiting ends a little before its
// time when there is no sense in one more try.
func (l *lane) slack() time.Duration { return l.s.cfg.GiveUp / 20 }

// watch waits until the view has seen what the keeper accepted of a batch. A
// keeper may die between its answer and its push: then the batch is asked for
// again, with the same numbers, and nothing goes out before it. What living
// keepers go on to confirm is believed in the end.
func (l *lane) watch(batch []*job) {
	deadline := l.s.h.Now().Add(l.s.cfg.GiveUp)
	patience := l.s.cfg.GiveUp / 5
	for next := l.s.h.Now().Add(l.s.cfg.GiveUp / 10); ; {
		l.s.mu.Lock()
		open := l.openLocked(batch)
		l.s.mu.Unlock()
		now := l.s.h.Now()
		if !open {
			return
		}
		if err := l.progress.Wait(context.Background(), next.Sub(now)); err == nil {
			continue
		} else if errors.Is(err, host.ErrStopped) {
			return
		}
		_, err := l.carry(batch, patience)
		if now = l.s.h.Now(); now.Before(deadline) {
			next = now.Add(l.s.cfg.GiveUp / 10)
			continue
		}
		l.s.mu.Lock()
		for _, j := range batch {
			if j.send != nil && j.open() {
				if err != nil {
					j.err = err
				}
				j.settleFromResultLocked()
			}
		}
		l.s.mu.Unlock()
		return
	}
}

// openLocked reports whether anything accepted of a batch was not yet seen.
func (l *lane) openLocked(batch []*job) bool {
	if l.s.views[l.name] == nil {
		return false
	}
	for _, j := range batch {
		if j.open != nil && j.res.GetCode() == wire.Code_OK && (j.send != nil || j.res.GetEvent()) && j.open() {
			return true
		}
	}
	return false
}

// unseenBy is for a request whose event the session's own view will show.
func (se *session) unseenBy(name string, j *job) func() bool {
	return func() bool {
		v := se.s.views[name]
		return v != nil && v.state != nil && v.locals[se.number] != nil && v.seen[se.stream] < j.number
	}
}

// takeLocked takes the next batch: consecutive numbers within the bounds.
func (l *lane) takeLocked() []*job {
	n, size := 0, 0
	for n < len(l.waiting) && n < maxBatch {
		size += len(l.waiting[n].req) + 64
		if n > 0 && (size > maxBatchBytes || l.kind != kindLetters && l.waiting[n].number != l.waiting[n-1].number+1) {
			break
		}
		n++
	}
	batch := l.waiting[:n:n]
	if l.waiting = l.waiting[n:]; len(l.waiting) == 0 {
		l.waiting = nil // the jobs must not live as long as the lane
	}
	for _, j := range batch {
		if j.words != nil && l.confirmed > 0 {
			j.words.After = l.confirmed
			j.req = encode(&wire.ChannelRequest{What: &wire.ChannelRequest_Message{Message: j.words}})
		}
	}
	return batch
}

// carry brings a batch to where it goes, within d.
func (l *lane) carry(batch []*job, d time.Duration) ([]*wire.Result, error) {
	if l.kind == kindLetters {
		return l.s.carryLetters(l, batch, d)
	}
	items := make([][]byte, len(batch))
	for i, j := range batch {
		items[i] = j.req
	}
	raw, err := l.s.o.Request(l.kind, l.name, l.stream, batch[0].number, items, d)
	if err != nil {
		return nil, fmt.Errorf("%s: %w (%v)", l.name, chat.ErrUnreachable, err)
	}
	results := make([]*wire.Result, len(raw))
	for i, b := range raw {
		results[i] = new(wire.Result)
		if err := decode(b, results[i]); err != nil {
			results[i] = &wire.Result{Code: wire.Code_BAD_REQUEST, Detail: "the keeper's answer is malformed"}
		}
	}
	return results, nil
}

// outcomeLocked settles a batch. When nobody has answered in time (late), those
// jobs are given up that have waited for GiveUp, in the batch and behind it; the
// others are asked for again.
func (l *lane) outcomeLocked(batch []*job, results []*wire.Result, err error, late bool) {
	switch {
	case err == nil:
		for i, j := range batch {
			j.doneLocked(results[i], nil)
		}
		return
	case late:
		l.waiting = append(batch, l.waiting...)
		batch = l.overdueLocked()
	}
	for _, j := range batch {
		j.doneLocked(nil, err)
	}
}

// overdueLocked takes the jobs that have waited for GiveUp.
func (l *lane) overdueLocked() []*job {
	now, n := l.s.h.Now(), 0
	for n < len(l.waiting) && now.Sub(l.waiting[n].queued) >= l.s.cfg.GiveUp-l.slack() {
		n++
	}
	overdue := l.waiting[:n:n]
	l.waiting = l.waiting[n:]
	return overdue
}

func (j *job) doneLocked(res *wire.Result, err error) {
	if j.done {
		return
	}
	j.done, j.res, j.err = true, res, err
	if j.send != nil {
		j.answeredLocked()
	}
	if j.finish != nil {
		j.finish(j)
	}
	if j.notice != nil {
		j.notice.Signal()
	}
}

// failed is the outcome as an error of the contract, or nil.
func (j *job) failed() error {
	if j.err != nil {
		return j.err
	}
	return errorOf(j.res)
}

// wait waits until the outcome is known, at most d. It returns ctx's error
// when ctx ends first, nil otherwise.
func (j *job) wait(ctx context.Context, d time.Duration) error {
	s := j.lane.s
	deadline := s.h.Now().Add(d)
	for {
		s.mu.Lock()
		done := j.done
		s.mu.Unlock()
		left := deadline.Sub(s.h.Now())
		if done || left <= 0 {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := j.notice.Wait(ctx, left); err != nil && ctx.Err() != nil {
			return ctx.Err()
		} else if err != nil {
			return nil
		}
	}
}

// do asks one thing of a channel, where it lies.
func (se *session) do(ctx context.Context, channel string, req *wire.ChannelRequest) (*wire.Result, error) {
	se.s.mu.Lock()
	name := se.s.homeLocked(channel)
	se.s.mu.Unlock()
	res, err := se.ask(ctx, name, req)
	if home := string(res.GetHome()); err == nil && res.GetCode() == wire.Code_ELSEWHERE && chat.ValidChannel(home) {
		return se.ask(ctx, chat.Fold(home), req)
	}
	return res, err
}

// ask asks one thing of the keeper of a folded name and waits for its outcome, and, when it made
// an event, until the session's own view has it.
func (se *session) ask(ctx context.Context, name string, req *wire.ChannelRequest) (*wire.Result, error) {
	s := se.s
	deadline := s.h.Now().Add(2 * s.cfg.GiveUp)
	s.mu.Lock()
	if se.ended != nil {
		defer s.mu.Unlock()
		return nil, se.ended
	}
	l := se.laneLocked(kindChannel, name)
	j := l.addLocked(func(uint64) []byte { return encode(req) }, nil)
	j.open = se.unseenBy(name, j)
	s.mu.Unlock()
	waited := j.wait(ctx, deadline.Sub(s.h.Now()))
	s.mu.Lock()
	if waited != nil || !j.done || j.err != nil {
		defer s.mu.Unlock()
		se.forsakeLocked(name, j)
		if err := cmp.Or(waited, j.err); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("%s: %w", name, chat.ErrUnreachable)
	}
	res, v := j.res, s.views[name]
	var seen host.Event
	if res.Event && v != nil && v.locals[se.number] != nil && v.seen[se.stream] < j.number {
		seen = s.h.NewEvent()
		v.waiters = append(v.waiters, waiter{stream: se.stream, number: j.number, event: seen})
	}
	s.mu.Unlock()
	if seen != nil {
		if err := seen.Wait(ctx, s.cfg.GiveUp); err != nil && ctx.Err() != nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			se.forsakeLocked(name, j)
			return res, ctx.Err()
		}
	}
	return res, nil
}
