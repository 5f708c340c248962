package ordeal

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"ircbridge/history"
	"ircbridge/nodes"
)

// run is one ordeal.
type run struct {
	opts     Options
	fault    fault
	group    *nodes.Group
	users    []*user
	channels []string // each kept by another node
	history  *history.History
	watch    watch
	start    time.Time
	silent   []net.Conn // of the fault silence
	logging  sync.Mutex // held while a line is written to opts.Log

	mu     sync.Mutex
	talked int                       // the channel of the round, by its place in channels
	faulty []string                  // what was seen to be wrong, but by history
	apart  bool                      // nodes may be rings of their own: who comes and goes is not judged
	wrongs int                       // how often
	names  map[*user]map[string]bool // who has been answered NAMES of which channel
	told   chan struct{}             // closed and replaced with each of these answers
}

func (r *run) now() time.Duration { return time.Since(r.start) }

func (r *run) logf(format string, args ...any) {
	r.logging.Lock()
	defer r.logging.Unlock()
	fmt.Fprintf(r.opts.Log, "%9.3f %s\n", r.now().Seconds(), fmt.Sprintf(format, args...))
}

// wrong notes what must not be.
func (r *run) wrong(text string) {
	r.logf("WRONG: %s", text)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.apart {
		return
	}
	if r.wrongs++; r.wrongs <= maxWrong {
		r.faulty = append(r.faulty, text)
	}
}

func (r *run) setApart(apart bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.apart = apart
}

// maxWrong is how many of these are told one by one.
const maxWrong = 20

// main is the channel that has most of the talk now.
func (r *run) main() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.channels[r.talked]
}

func (r *run) turnTo(i int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.talked = i
}

// people starts the users and waits until all are in all channels; the function it returns ends them.
func (r *run) people(ctx context.Context) (end func(), err error) {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	end = func() { cancel(); all.Wait() }
	for _, u := range r.users {
		all.Go(func() { u.live(ctx) })
	}
	return end, r.together(ctx)
}

// together waits until all users are in all channels.
func (r *run) together(ctx context.Context) error {
	for _, u := range r.users {
		if err := u.ready(ctx); err != nil {
			return err
		}
	}
	return nil
}

// talk lets all users speak until the function that it returns is called.
func (r *run) talk(ctx context.Context) (hush func()) {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	every := time.Duration(float64(time.Second) * float64(len(r.users)) / r.opts.Rate)
	for i, u := range r.users {
		all.Go(func() {
			pause(ctx, every*time.Duration(i)/time.Duration(len(r.users)))
			u.talk(ctx, every)
		})
	}
	return sync.OnceFunc(func() { cancel(); all.Wait() })
}

// keeper waits until the ring agrees on who keeps a channel with what its IDs say, and returns
// the nodes to which it belongs, one after the other.
func (r *run) keeper(ctx context.Context, channel string) ([]*nodes.Node, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, settle, fmt.Errorf("the ring does not agree within %v on who keeps %s", settle, channel))
	defer cancel()
	want := nodes.Followers(r.group.Running(), channel)
	asked := want[len(want)-1]
	for {
		id, err := asked.Keeper(ctx, channel)
		if err == nil && id == want[0].ID() {
			return want, nil
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("%w: %s says %q (%v), and it is %s", context.Cause(ctx), asked, id, err, want[0].ID())
		}
		pause(ctx, again)
	}
}

// settle is how long a ring may take to know who keeps what.
const settle = 20 * time.Second

// round lets the fault strike once.
func (r *run) round(ctx context.Context, i int, rep *Report) error {
	r.turnTo(i % len(r.channels))
	channel := r.main()
	pause(ctx, r.opts.Rest)
	line, err := r.keeper(ctx, channel)
	if err != nil {
		return err
	}
	struck := line[:min(r.fault.reach, len(line))]
	if r.fault.reach == 0 {
		struck = line
	}
	w := r.watch.strike(channel, struck, r.now(), r.awaited(struck))
	if err := r.fault.strike(ctx, r, struck); err != nil {
		return err
	}
	// What the keeper had numbered, sent to some and not yet to a replica, may
	// get another place in the order by the next keeper; it is all accepted once. So no order is asked of what was on its
	// way at this moment. All clients are on one side: delivery is asked of all.
	r.history.Split(r.watch.began(w), r.now(), nil)
	if !r.fault.fromUndo {
		r.watch.done(r.now())
	}
	pause(ctx, r.opts.Down)
	if r.fault.fromUndo {
		w = r.watch.strike(channel, struck, r.now(), r.awaited(struck))
		r.watch.done(r.now())
	}
	undone := r.now()
	r.setApart(r.fault.fromUndo)
	if r.fault.undo != nil {
		if err := r.fault.undo(ctx, r, struck); err != nil {
			return err
		}
	}
	if err := r.recovered(ctx, w); err != nil {
		return err
	}
	first, last := r.watch.times(w)
	r.watch.over(r.now())
	rep.First, rep.Last = append(rep.First, first), append(rep.Last, last)
	if r.fault.wakes {
		if err := r.woke(ctx, channel, struck, w, undone, rep); err != nil {
			return err
		}
	}
	began := r.now()
	if err := r.together(ctx); err != nil {
		return err
	}
	if r.fault.fromUndo {
		// Each node was a ring of its own at first, and the users on it by themselves.
		pause(ctx, apart)
		r.history.Split(r.watch.began(w), r.now())
		r.setApart(false)
	}
	r.logf("round %d: %s of %v, which had %s: accepted again after %v, for all after %v; all there %v later",
		i+1, r.fault.name, struck, channel, round3(first), round3(last), round3(r.now()-began))
	return context.Cause(ctx)
}

// woke measures how long after its waking the users on a node are heard again. Who was away for
// longer than the time after which others see him quit is told nothing of what was said
// until he was back.
func (r *run) woke(ctx context.Context, channel string, struck []*nodes.Node, w *round, undone time.Duration, rep *Report) error {
	theirs := map[*user]bool{}
	for _, u := range r.users {
		theirs[u] = slices.Contains(struck, u.node)
	}
	maps.DeleteFunc(theirs, func(_ *user, is bool) bool { return !is })
	back := r.watch.strike(channel, struck, undone, theirs)
	r.watch.done(undone)
	if err := r.recovered(ctx, back); err != nil {
		return err
	}
	_, last := r.watch.times(back)
	rep.Woke = append(rep.Woke, last)
	r.watch.over(r.now())
	if r.opts.Down >= grace {
		pause(ctx, apart)
		r.history.Split(r.watch.began(w), r.now())
	}
	return nil
}

// grace is the time for which a node that does not answer is not given up yet.
const grace = 20 * time.Second

// apart is how long, after everybody had a message accepted, rings may still be about to
// become one.
const apart = 3 * time.Second

// awaited are the users on nodes that are not struck; all, when every node is.
func (r *run) awaited(struck []*nodes.Node) map[*user]bool {
	m := map[*user]bool{}
	for _, u := range r.users {
		if len(struck) == len(r.users) || !slices.Contains(struck, u.node) {
			m[u] = true
		}
	}
	return m
}

// recovered waits until all who are waited for had a message accepted.
func (r *run) recovered(ctx context.Context, w *round) error {
	late := time.NewTimer(comeBack)
	defer late.Stop()
	select {
	case <-w.all:
		return nil
	case <-late.C:
		return fmt.Errorf("not everybody had a message to %s accepted within %v of the fault", w.channel, comeBack)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// roll asks everybody, once it is quiet, who is in the channels.
func (r *run) roll(ctx context.Context) error {
	pause(ctx, r.opts.Quiet)
	r.mu.Lock()
	r.names, r.told = map[*user]map[string]bool{}, make(chan struct{})
	r.mu.Unlock()
	for _, u := range r.users {
		var nicks []string
		for _, v := range r.users {
			nicks = append(nicks, v.nick)
		}
		for _, c := range r.channels {
			r.history.Members("all users", c, nicks)
		}
		for some := range slices.Chunk(r.channels, 10) { // more are not answered at once
			if err := u.ask("NAMES " + strings.Join(some, ",")); err != nil {
				return err
			}
		}
	}
	late := time.NewTimer(10 * time.Second)
	defer late.Stop()
	for {
		r.mu.Lock()
		missing := len(r.users) * len(r.channels)
		for _, m := range r.names {
			missing -= len(m)
		}
		told := r.told
		r.mu.Unlock()
		if missing == 0 {
			return nil
		}
		select {
		case <-told:
		case <-late.C:
			return errors.New("NAMES is not answered")
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// named is told all names of a channel that a user was shown; it counts once everybody is asked.
func (r *run) named(u *user, channel string, nicks []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.names == nil {
		return
	}
	r.history.Members(u.client, channel, nicks)
	if r.names[u] == nil {
		r.names[u] = map[string]bool{}
	}
	r.names[u][channel] = true
	close(r.told)
	r.told = make(chan struct{})
}
