package load

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// register measures clients that register and stay, and then how fast they
// leave.
func register(ctx context.Context, r *run) (rep Report, err error) {
	rep.Title = fmt.Sprintf("register: %d clients, %d at a time, on %d servers", r.Count, r.Parallel, len(r.Servers))
	warm, err := r.registerAll(ctx, min(r.Warmup, r.Count))
	if err = errors.Join(err, r.quitAll(warm.clients)); err != nil {
		return rep, err
	}
	all, err := r.registerAll(ctx, r.Count)
	began := r.clock.now()
	if err = errors.Join(err, r.quitAll(all.clients)); err != nil {
		return rep, err
	}
	rep.add("registrations a second", float64(r.Count)/all.took.Seconds(), "")
	rep.times("registration", all.times)
	rep.add("quits a second", float64(r.Count)/(r.clock.now()-began).Seconds(), "")
	return rep, nil
}

// registered are clients, how long all took to register, and each of them.
type registered struct {
	clients []*client
	took    time.Duration
	times   []time.Duration
}

func (r *run) registerAll(ctx context.Context, n int) (all registered, err error) {
	all.clients, all.times = make([]*client, n), make([]time.Duration, n)
	for i := range all.clients {
		all.clients[i] = r.client(r.server(i))
	}
	start := r.clock.now()
	err = r.each(n, func(i int) error {
		began := r.clock.now()
		if err := dial(ctx, all.clients[i], 4<<10); err != nil {
			return err
		}
		all.times[i] = r.clock.now() - began
		return nil
	})
	all.took = r.clock.now() - start
	return all, err
}

// quitAll lets clients leave. The server closes the connections, so that no
// port of ours stays in TIME_WAIT.
func (r *run) quitAll(cs []*client) error {
	return r.each(len(cs), func(i int) error {
		c := cs[i]
		if c.conn == nil {
			return nil // never connected
		}
		defer c.close()
		if err := c.send("QUIT\r\n"); err != nil {
			return fmt.Errorf("%s quits: %w", c.nick, err)
		}
		late := time.NewTimer(r.Wait)
		defer late.Stop()
		select {
		case <-c.ended:
			return nil
		case <-late.C:
			return fmt.Errorf("%s does not close %v after QUIT", c.server, r.Wait)
		}
	})
}
