package load

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// modes by name; the order is that of the help.
func modes() []mode {
	return []mode{
		{"message", "one-way time from a client on the first server to one on the second, in a channel", message},
		{"private", "the same for private messages, and round trips", private},
		{"fanout", "deliveries a second of one sender's messages to all members of a channel", fanout},
		{"register", "registrations a second", register},
		{"channels", "joins of many channels, and messages in all of them", channels},
		{"idle", "memory of the server for each idle client (with -pid or -local, on Linux)", idle},
		{"quiet", "memory and loopback traffic of servers that nobody uses (with -pid or -local, on Linux)", quiet},
	}
}

type mode struct {
	name, help string
	run        func(ctx context.Context, r *run) (Report, error)
}

// Modes lists the modes with a line of help for each.
func Modes() (names, helps []string) {
	for _, m := range modes() {
		names, helps = append(names, m.name), append(helps, m.help)
	}
	return names, helps
}

// run is one run of a mode.
type run struct {
	Options
	name  string // drawn for this run; in nicks, channels and messages
	clock clock
	nicks int
}

// Run runs a mode once, and blocks until it has ended or ctx is done. What it
// reports beside an error is incomplete.
func Run(ctx context.Context, name string, o Options) (Report, error) {
	i := slices.IndexFunc(modes(), func(m mode) bool { return m.name == name })
	if i < 0 {
		names, _ := Modes()
		return Report{}, fmt.Errorf("there is no mode %q; there are %s", name, strings.Join(names, ", "))
	}
	if err := o.check(); err != nil {
		return Report{}, err
	}
	if len(o.Servers) == 0 && name != "quiet" {
		return Report{}, errors.New("no server is named; add -server HOST:PORT, or -local N for nodes of this tree")
	}
	if err := o.resolve(ctx); err != nil {
		return Report{}, err
	}
	r := &run{Options: o, name: strconv.FormatUint(36*36+rand.Uint64N(36*36*35), 36), clock: clock{time.Now()}}
	rep, err := modes()[i].run(ctx, r)
	if err != nil && ctx.Err() != nil { // connections are closed at that moment, and fail somehow
		err = context.Cause(ctx)
	}
	return rep, err
}

// server is the address for the client of that number.
func (r *run) server(i int) string { return r.Servers[i%len(r.Servers)] }

// client makes a client that is not connected yet. Nicks fit the nine
// letters of RFC 1459. Not for use by several goroutines at once.
func (r *run) client(server string) *client {
	r.nicks++
	return &client{nick: "l" + r.name + strconv.FormatInt(int64(r.nicks), 36), server: server, wait: r.Wait, clock: r.clock}
}

func (r *run) channel() string {
	if r.Channel != "" {
		return r.Channel
	}
	return "#load-" + r.name
}

// across says where messages go, for titles.
func (r *run) across() string {
	if a, b := r.server(0), r.server(1); a != b {
		return "from " + a + " to " + b
	}
	return "on " + r.server(0)
}

// each calls f for 0 to n-1, Parallel at a time, until one fails.
func (r *run) each(n int, f func(i int) error) error {
	var (
		next  = make(chan int)
		stop  = make(chan struct{})
		once  sync.Once
		first error
		all   sync.WaitGroup
	)
	for range min(n, r.Parallel) {
		all.Go(func() {
			for i := range next {
				if err := f(i); err != nil {
					once.Do(func() { first = err; close(stop) })
				}
			}
		})
	}
feed:
	for i := range n {
		select {
		case next <- i:
		case <-stop:
			break feed
		}
	}
	close(next)
	all.Wait()
	return first
}

// probe repeats send until got is closed: what has just been joined may not
// be known everywhere yet.
func (r *run) probe(ctx context.Context, got <-chan struct{}, send func() error) error {
	late := time.NewTimer(4 * r.Wait)
	defer late.Stop()
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for {
		if err := send(); err != nil {
			return err
		}
		select {
		case <-got:
			return nil
		case <-again.C:
		case <-late.C:
			return fmt.Errorf("no message got through within %v: are the servers linked with each other?", 4*r.Wait)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// linger lets late copies come before what came is counted.
func (r *run) linger(ctx context.Context) {
	t := time.NewTimer(min(r.Wait, 300*time.Millisecond))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// pace sends the messages of a flow: at Rate, or one after the other. It
// returns how many were sent, and how late at most each was (with a Rate).
func (r *run) pace(ctx context.Context, f *flow, n int, send func(number int, at time.Duration) error) (sent int, late []time.Duration, err error) {
	start := r.clock.now()
	for i := range n {
		at := r.clock.now()
		if r.Rate > 0 {
			at = start + time.Duration(float64(i)/r.Rate*float64(time.Second))
			if err := sleep(ctx, at-r.clock.now()); err != nil {
				return i, late, err
			}
			late = append(late, r.clock.now()-at)
		}
		if err := send(i, at); err != nil {
			return i, late, err
		}
		if r.Rate == 0 {
			if err := f.untilNumber(ctx, i, r.Wait); err != nil {
				return i + 1, late, err
			}
		}
	}
	return n, late, f.until(ctx, n, r.Wait)
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
