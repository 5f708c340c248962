package load

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// pair is a sender and a receiver on the same channels.
type pair struct {
	tx, rx   *client
	channels []string
	flows    []*flow // one for each channel
	joins    []time.Duration
	sent     int
}

// channels measures joins of many channels, and then messages in them all, one
// in flight for each pair of clients.
func channels(ctx context.Context, r *run) (rep Report, err error) {
	var ps []*pair
	for i := 0; i < r.Channels; i += r.Each {
		ps = append(ps, r.pair(i, min(r.Each, r.Channels-i)))
	}
	rep.Title = fmt.Sprintf("channels: %d, each with 2 members, %d messages each, %s, %d clients", r.Channels, r.Count, r.across(), 2*len(ps))
	defer func() {
		for _, p := range ps {
			p.tx.close()
			p.rx.close()
		}
	}()
	err = r.each(len(ps), func(i int) error {
		return errors.Join(dial(ctx, ps[i].tx, bufSize), dial(ctx, ps[i].rx, bufSize))
	})
	if err != nil {
		return rep, err
	}
	start := r.clock.now()
	if err := r.each(len(ps), func(i int) error { return ps[i].join(ctx, r) }); err != nil {
		return rep, err
	}
	took := r.clock.now() - start
	var joins, times []time.Duration
	for _, p := range ps {
		joins = append(joins, p.joins...)
	}
	rep.add("joins a second", float64(len(joins))/took.Seconds(), "")
	rep.times("join", joins)

	start = r.clock.now()
	err = r.each(len(ps), func(i int) error { return ps[i].talk(ctx, r) })
	took = r.clock.now() - start
	r.linger(ctx)
	for _, p := range ps {
		p.rx.close()
		for i, f := range p.flows {
			times = append(times, f.times...)
			rep.Counts.add(f.tally.counts(p.sentIn(i)))
		}
	}
	rep.add("messages a second", float64(len(times))/took.Seconds(), "")
	rep.times("one way", times)
	return rep, err
}

func (r *run) pair(first, n int) *pair {
	p := &pair{tx: r.client(r.server(0)), rx: r.client(r.server(1))}
	for i := range n {
		p.channels = append(p.channels, fmt.Sprintf("#load-%s-%d", r.name, first+i))
		p.flows = append(p.flows, newFlow(r.name, fmt.Sprintf("c%d", first+i), r.Count, r.Size))
	}
	p.rx.onMessage = func(text []byte, at time.Duration) {
		// One is in flight: it is that of the channel whose turn it is, or a copy
		// of an earlier one.
		for _, f := range p.flows {
			if _, _, ok := f.take(text, at); ok {
				f.told()
				return
			}
		}
	}
	return p
}

// join joins all channels with both clients.
func (p *pair) join(ctx context.Context, r *run) error {
	for _, ch := range p.channels {
		for _, c := range []*client{p.rx, p.tx} {
			began := r.clock.now()
			if err := c.join(ctx, ch); err != nil {
				return err
			}
			p.joins = append(p.joins, r.clock.now()-began)
		}
	}
	return nil
}

func (p *pair) talk(ctx context.Context, r *run) error {
	for number := range r.Count {
		for i, f := range p.flows {
			if err := p.tx.send(f.line(p.channels[i], number, r.clock.now())); err != nil {
				return err
			}
			p.sent++
			if err := f.untilNumber(ctx, number, r.Wait); err != nil {
				return err
			}
		}
	}
	return nil
}

// sentIn is how many messages were sent in the channel of that number.
func (p *pair) sentIn(i int) int {
	n := p.sent / len(p.flows)
	if i < p.sent%len(p.flows) {
		n++
	}
	return n
}
