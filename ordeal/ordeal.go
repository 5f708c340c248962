package ordeal

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"ircbridge/history"
	"ircbridge/nodes"
)

// Options say what an ordeal is.
type Options struct {
	Fault  string        // one of Faults
	Rounds int           // how often it strikes
	Nodes  int           // of the ring
	Rate   float64       // messages a second to the channel of the round
	Rest   time.Duration // before the fault, in each round
	Down   time.Duration // from the fault until it is undone
	Quiet  time.Duration // after the last round, until the history is judged
	Marks  Marks
	Rules  history.Rules // what is allowed all the same
	Log    io.Writer     // gets what happens, a line at a time; nil is nobody
	Keep   string        // a directory for the nodes' logs, when something is wrong; "" keeps none

	Group nodes.Options // the program, and where its nodes run
}

// Marks are the most that times may be; 0 is no mark.
type Marks struct {
	FirstP50, FirstP99 time.Duration // from the fault until a message is accepted again
	WokeP99            time.Duration // from the undoing of stall or sleep until the users there are heard again
	EchoP99            time.Duration // from a message to its echo, of users on nodes that are not struck
}

// Faults lists the faults with a line of help for each.
func Faults() (names, helps []string) {
	for _, f := range faults() {
		names, helps = append(names, f.name), append(helps, f.help)
	}
	return names, helps
}

// Defaults are those of a fault, with the marks that it has.
func Defaults(name string) Options {
	o := Options{Fault: name, Rounds: 20, Nodes: 5, Rate: 200, Rest: time.Second, Down: 2 * time.Second, Quiet: 6 * time.Second}
	o.Rules = history.Rules{After: 5 * time.Second, AnswerWithin: 8 * time.Second}
	kill := Marks{FirstP50: 300 * time.Millisecond, FirstP99: 1200 * time.Millisecond}
	switch name {
	case "kill", "kill-two", "kill-leaving":
		o.Marks = kill
	case "restart":
		o.Marks, o.Down, o.Rounds = kill, 0, 50
	case "restart-all":
		o.Marks = Marks{FirstP99: 5 * time.Second}
	case "silence":
		o.Rounds, o.Down, o.Marks = 5, 5*time.Second, Marks{EchoP99: time.Second}
	case "stall":
		// Who wakes is told what was said meanwhile as far as keepers remember, 512 events.
		o.Rate, o.Down, o.Marks = 50, 8*time.Second, Marks{EchoP99: 3 * time.Second, WokeP99: 5 * time.Second}
	case "sleep":
		o.Rate, o.Down, o.Rounds, o.Marks = 20, time.Minute, 3, Marks{EchoP99: 3 * time.Second, WokeP99: 5 * time.Second}
	}
	return o
}

func (o *Options) check() error {
	names, _ := Faults()
	for _, b := range []struct {
		wrong bool
		text  string
	}{
		{!slices.Contains(names, o.Fault), fmt.Sprintf("there is no fault %q; there are %s", o.Fault, strings.Join(names, ", "))},
		{o.Rounds < 1 || o.Rounds > 10_000, fmt.Sprintf("%d rounds are asked for, and there must be between 1 and 10000", o.Rounds)},
		{o.Nodes < 2 || o.Nodes > 32, fmt.Sprintf("%d nodes are asked for, and there must be between 2 and 32", o.Nodes)},
		{!(o.Rate >= 1 && o.Rate <= 10_000), fmt.Sprintf("%g messages a second are asked for, and there must be between 1 and 10000", o.Rate)},
		{o.Rest < 0 || o.Down < 0 || o.Quiet < 0, "a time is below 0"},
	} {
		if b.wrong {
			return fmt.Errorf("%s", b.text)
		}
	}
	return nil
}

// Run is an ordeal from beginning to end. A report beside an error is incomplete; what the report
// has to complain of stands in its Violations.
func Run(ctx context.Context, opts Options) (rep Report, err error) {
	if err := opts.check(); err != nil {
		return rep, err
	}
	if opts.Log == nil {
		opts.Log = io.Discard
	}
	group, err := nodes.New(ctx, opts.Group)
	if err != nil {
		return rep, err
	}
	defer group.Close()
	if err := group.Ring(ctx, opts.Nodes); err != nil {
		return rep, err
	}
	r := &run{opts: opts, group: group, history: history.New(), start: time.Now()}
	for _, f := range faults() {
		if f.name == opts.Fault {
			r.fault = f
		}
	}
	rep.Title = fmt.Sprintf("%s: %d times, %d nodes, %g messages a second; %s", opts.Fault, opts.Rounds, opts.Nodes, opts.Rate, group.Nodes()[0].Version())
	err = r.all(ctx, &rep)
	rep.judge(r)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if opts.Keep != "" && (err != nil || len(rep.Violations) > 0) {
		if kept := group.Keep(opts.Keep); kept != nil {
			r.logf("%v", kept)
		}
	}
	return rep, err
}

// all is the whole course of an ordeal.
func (r *run) all(ctx context.Context, rep *Report) error {
	for _, n := range r.group.Nodes() {
		r.channels = append(r.channels, nodes.ChannelOf(r.group.Nodes(), n))
		r.users = append(r.users, newUser(r, n))
	}
	leave, err := r.people(ctx)
	defer leave()
	if err != nil {
		return err
	}
	hush := r.talk(ctx)
	defer hush()
	defer func() { _ = speakUp(ctx, r, nil) }()
	pause(ctx, r.opts.Rest) // what is done the first time takes longer
	r.watch.reset()
	for i := range r.opts.Rounds {
		if err := r.round(ctx, i, rep); err != nil {
			return fmt.Errorf("round %d: %w", i+1, err)
		}
	}
	pause(ctx, r.opts.Rest)
	hush()
	rep.Echo = r.watch.reset()
	return r.roll(ctx)
}
