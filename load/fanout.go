package load

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// gauge counts the deliveries to all members, and wakes the sender when there
// are as many as it waits for.
type gauge struct {
	got, want atomic.Int64
	more      chan struct{}
	last      atomic.Int64 // when the newest came
}

func (g *gauge) add(n int, at time.Duration) {
	g.last.Store(int64(at))
	if g.got.Add(int64(n)) >= g.want.Load() {
		select {
		case g.more <- struct{}{}:
		default:
		}
	}
}

// until waits for n deliveries, or until none came for d.
func (g *gauge) until(ctx context.Context, n int, d time.Duration) (all bool, err error) {
	g.want.Store(int64(n))
	check := time.NewTicker(d)
	defer check.Stop()
	for before := int64(-1); ; {
		got := g.got.Load()
		if got >= int64(n) {
			return true, nil
		}
		select {
		case <-g.more:
		case <-check.C:
			if got = g.got.Load(); got == before {
				return false, nil
			}
			before = got
		case <-ctx.Done():
			return false, context.Cause(ctx)
		}
	}
}

// member is one client of a fan-out and what it got. warm and real belong to
// the client's goroutine.
type member struct {
	*client
	warm, real *flow
	fresh      int // since the last batch
}

// crowd makes the members, connected and on the channel.
func (r *run) crowd(ctx context.Context, channel string, g *gauge) ([]*member, error) {
	ms := make([]*member, r.Clients)
	for i := range ms {
		m := &member{client: r.client(r.server(i)), warm: newFlow(r.name, "w", r.Warmup, r.Size), real: newFlow(r.name, "m", r.Count, r.Size)}
		m.warm.times, m.real.times = nil, nil
		var at time.Duration
		m.onMessage = func(text []byte, now time.Duration) {
			at = now
			if _, _, ok := m.real.take(text, now); ok {
				m.fresh++
			} else if _, _, ok := m.warm.take(text, now); ok {
				m.fresh++
			}
		}
		m.onBatch = func() {
			if m.fresh > 0 {
				g.add(m.fresh, at)
				m.fresh = 0
			}
		}
		ms[i] = m
	}
	return ms, r.each(len(ms), func(i int) error {
		if err := dial(ctx, ms[i].client, bufSize); err != nil {
			return err
		}
		return ms[i].join(ctx, channel)
	})
}

// fanout measures how many deliveries a second reach the members of one
// channel, with at most Window messages in flight.
func fanout(ctx context.Context, r *run) (rep Report, err error) {
	channel, g := r.channel(), &gauge{more: make(chan struct{}, 1)}
	rep.Title = fmt.Sprintf("fanout: %d messages to %d members of %s on %d servers, %d in flight", r.Count, r.Clients, channel, len(r.Servers), r.Window)
	tx := r.client(r.server(0))
	ms, err := r.crowd(ctx, channel, g)
	defer func() {
		tx.close()
		for _, m := range ms {
			m.close()
		}
	}()
	if err != nil {
		return rep, err
	}
	if err := dial(ctx, tx, bufSize); err != nil {
		return rep, err
	}
	if err := tx.join(ctx, channel); err != nil {
		return rep, err
	}
	if _, err := r.pour(ctx, g, tx, ms[0].warm, r.Warmup, 0); err != nil {
		return rep, err
	}
	used, cpuErr := processorTime(r.PIDs)
	base, start := int(g.got.Load()), r.clock.now()
	sent, err := r.pour(ctx, g, tx, ms[0].real, r.Count, base)
	took := time.Duration(g.last.Load()) - start
	got := int(g.got.Load()) - base
	r.linger(ctx)
	for _, m := range ms {
		m.close()
		rep.Counts.add(m.real.tally.counts(sent))
	}
	rep.add("deliveries a second", float64(got)/max(took.Seconds(), 1e-9), "")
	rep.add("messages a second", float64(got)/float64(len(ms))/max(took.Seconds(), 1e-9), "")
	if now, err := processorTime(r.PIDs); len(r.PIDs) > 0 && err == nil && cpuErr == nil && got > 0 {
		rep.add("processor time of the servers", float64((now-used).Nanoseconds())/float64(got), "ns a delivery")
	}
	return rep, err
}

// pour sends n messages of a flow. What was delivered before is base.
func (r *run) pour(ctx context.Context, g *gauge, tx *client, f *flow, n, base int) (sent int, err error) {
	channel := r.channel()
	for sent < n {
		batch := ""
		for until := min(sent+max(r.Window/4, 1), n); sent < until; sent++ {
			batch += f.line(channel, sent, 0)
		}
		if err := tx.send(batch); err != nil {
			return sent, err
		}
		wait := sent - r.Window + max(r.Window/4, 1)
		if sent == n {
			wait = n
		}
		if wait <= 0 {
			continue
		}
		all, err := g.until(ctx, base+wait*r.Clients, r.Wait)
		if err != nil {
			return sent, err
		}
		if !all { // those are lost; the rest need not wait for them
			base = int(g.got.Load()) - wait*r.Clients
		}
	}
	return sent, nil
}
