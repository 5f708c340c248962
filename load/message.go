package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// bufSize is what a client reads at once, and a bound on a line.
const bufSize = 32 << 10

// message measures messages in a channel.
func message(ctx context.Context, r *run) (Report, error) {
	channel := r.channel()
	rep, err := r.oneWay(ctx, channel, channel)
	rep.Title = fmt.Sprintf("message: %d in channel %s %s, %s", r.Count, channel, r.across(), r.pacing())
	return rep, err
}

func (r *run) pacing() string {
	if r.Rate > 0 {
		return fmt.Sprintf("%g a second", r.Rate)
	}
	return "one in flight"
}

// private measures private messages, and then round trips.
func private(ctx context.Context, r *run) (Report, error) {
	rep, err := r.oneWay(ctx, "", "")
	if err == nil {
		err = r.pingPong(ctx, &rep)
	}
	rep.Title = fmt.Sprintf("private: %d messages and %d round trips %s, %s", r.Count, r.Count, r.across(), r.pacing())
	return rep, err
}

// oneWay sends from one client to another, through a channel that both join,
// or without one.
func (r *run) oneWay(ctx context.Context, channel, target string) (rep Report, err error) {
	tx, rx := r.client(r.server(0)), r.client(r.server(1))
	if target == "" {
		target = rx.nick
	}
	warm, real := newFlow(r.name, "w", r.Warmup, r.Size), newFlow(r.name, "m", r.Count, r.Size)
	through, probe := onProbe(r.name)
	rx.onMessage = func(text []byte, at time.Duration) {
		for _, f := range []*flow{real, warm} {
			if _, _, ok := f.take(text, at); ok {
				f.told()
				return
			}
		}
		probe(text)
	}
	defer tx.close()
	defer rx.close()
	for _, c := range []*client{rx, tx} {
		if err := dial(ctx, c, bufSize); err != nil {
			return rep, err
		}
		if channel != "" {
			if err := c.join(ctx, channel); err != nil {
				return rep, err
			}
		}
	}
	err = r.probe(ctx, through, func() error { return tx.send("PRIVMSG " + target + " :" + probeText(r.name) + "\r\n") })
	if err != nil {
		return rep, err
	}
	post := func(f *flow) func(int, time.Duration) error {
		return func(number int, at time.Duration) error { return tx.send(f.line(target, number, at)) }
	}
	if _, _, err := r.pace(ctx, warm, r.Warmup, post(warm)); err != nil {
		return rep, err
	}
	sent, late, err := r.pace(ctx, real, r.Count, post(real))
	r.linger(ctx)
	rx.close()
	rep.times("one way", real.times)
	if r.Rate > 0 {
		rep.times("sender late", late)
	}
	rep.Counts = real.tally.counts(sent)
	return rep, errors.Join(err, ended(ctx, rx, rep.Counts))
}

// ended is why a client's connection ended too early, if messages are missing.
func ended(ctx context.Context, c *client, counts Counts) error {
	if counts.Lost == 0 || ctx.Err() != nil {
		return nil
	}
	if err := c.why(); err != nil && bytes.Contains([]byte(err.Error()), []byte("server ended")) {
		return fmt.Errorf("%s: %w", c.nick, err)
	}
	return nil
}

func probeText(run string) string { return "probe " + run }

// onProbe returns a channel that is closed at the first probe.
func onProbe(run string) (got <-chan struct{}, take func(text []byte)) {
	through := make(chan struct{})
	var once sync.Once
	want := []byte(probeText(run))
	return through, func(text []byte) {
		if bytes.Equal(text, want) {
			once.Do(func() { close(through) })
		}
	}
}

// pingPong measures private messages that are answered by private messages.
// The answers are sent by the goroutine that reads, so that no wake of another
// is in the time. It is always one in flight.
func (r *run) pingPong(ctx context.Context, rep *Report) error {
	a, b := r.client(r.server(0)), r.client(r.server(1))
	n := r.Warmup + r.Count
	there, back := newFlow(r.name, "t", n, r.Size), newFlow(r.name, "b", n, r.Size)
	there.times = nil
	through, probe := onProbe(r.name)
	b.onMessage = func(text []byte, at time.Duration) {
		if number, sent, ok := there.take(text, at); ok {
			// A failed write shows as an answer that is lost.
			_ = b.send(back.line(a.nick, number, sent))
			return
		}
		probe(text)
	}
	a.onMessage = func(text []byte, at time.Duration) {
		if _, _, ok := back.take(text, at); ok {
			back.told()
		}
	}
	defer a.close()
	defer b.close()
	for _, c := range []*client{a, b} {
		if err := dial(ctx, c, bufSize); err != nil {
			return err
		}
	}
	err := r.probe(ctx, through, func() error { return a.send("PRIVMSG " + b.nick + " :" + probeText(r.name) + "\r\n") })
	if err != nil {
		return err
	}
	one := *r
	one.Rate = 0
	sent, _, err := one.pace(ctx, back, n, func(number int, at time.Duration) error {
		return a.send(there.line(b.nick, number, at))
	})
	r.linger(ctx)
	a.close()
	b.close()
	rep.times("round trip", back.times[min(r.Warmup, len(back.times)):])
	there2, back2 := there.tally.counts(sent), back.tally.counts(sent)
	back2.Sent, back2.Lost = there2.Sent-there2.Lost, back2.Lost-there2.Lost // what was never asked is not lost twice
	rep.Counts.add(there2)
	rep.Counts.add(back2)
	return err
}
