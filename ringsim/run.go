package ringsim

import (
	"fmt"
	"io"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"ircbridge/chat"
	"ircbridge/history"
)

// Mode says what is asked of a run.
type Mode string

const (
	// Safety asks that nothing wrong happens while the faults last, and that
	// all agree in the end, however long it takes within a bound that is wide.
	Safety Mode = "safety"
	// Liveness asks besides that messages pass, and that all agree, soon after
	// the faults have ended.
	Liveness Mode = "liveness"
)

// Bounds of what is asked after the faults have ended.
const (
	patience      = 5 * time.Minute  // of Safety
	messagesPass  = 15 * time.Second // of Liveness: in every channel, among all its members
	allAgree      = 2 * time.Minute  // of Liveness: a lease of 90 s, and a renewal
	quietTime     = 10 * time.Second
	answerTime    = 8 * time.Second // 5 s until it is given up, and what waits before it in its lane
	ringFormsTime = 2 * time.Minute
)

// Options of a run.
type Options struct {
	Seed     uint64
	Scenario Scenario
	Mode     Mode      // "" is Safety
	Nodes    int       // 0: the seed draws
	Trace    io.Writer // gets what happens, in words; nil for nothing
	Events   io.Writer // gets each event of the simulated network; nil for nothing

	spoil func(*run) // lets a test spoil the run before it is judged
}

// A Result is what came of a run.
type Result struct {
	Options
	Size       int // nodes at the beginning
	Faults     int
	Report     history.Report
	Violations []string        // all that is wrong; those of the Report too
	Pass       []time.Duration // by channel: until messages passed again after the faults
	Agreed     time.Duration   // until all nodes agreed; 0 if they did not
	Elapsed    time.Duration   // virtual
	Events     uint64
	Digest     uint64 // of all that happened: equal for equal runs
	Refusals   map[string]int
}

// ruler is a session that may be operator of a channel.
type ruler struct {
	channel string
	session chat.SessionID
}

// former is what somebody who vanished is known by when he comes back.
type former struct{ channel, server, nick string }

func formerOf(channel string, p chat.Profile) former {
	return former{channel, p.Server, chat.Fold(p.Nick)}
}

// run is one run.
type run struct {
	options Options
	plan    *plan
	rng     *rand.Rand // of the faults, where they draw when they happen
	net     *network
	watch   *watch
	log     *log
	history *history.History
	users   []*user
	splits  []*split
	excuses []history.Excuse
	breaks  []history.Break
	rules   map[ruler]bool
	former  map[former]bool // who vanished as an operator, and is one when he comes back
	retired []retired       // operators who left
	aside   []ruler         // who founded a channel beside another of that name
	refused map[string]int
	result  Result

	undoing int // faults to be taken back
	moves   int
	over    bool // users do nothing any more
	done    bool
	probing string // what the present probes begin with
}

// Simulate makes one run. A panic in what is simulated is a violation.
func Simulate(o Options) (result Result) {
	if o.Mode == "" {
		o.Mode = Safety
	}
	rng := rand.New(rand.NewPCG(o.Seed, 0x72696e6773696d))
	p := drawPlan(rng, o.Nodes)
	o.Scenario.draw(rng, p)
	r := &run{options: o, plan: p, rng: rng, history: history.New(), rules: make(map[ruler]bool), former: make(map[former]bool), refused: make(map[string]int)}
	r.result = Result{Options: o, Size: p.nodes, Faults: len(p.faults), Refusals: r.refused}
	r.log = &log{out: o.Trace, events: o.Events, now: func() time.Duration { return r.net.Elapsed() }}
	r.net = newNetwork(p, o.Seed, r.log)
	defer func() {
		if v := recover(); v != nil {
			r.wrong("panic: %v\n%s", v, debug.Stack())
		}
		result = r.result
	}()
	defer r.net.Close()
	r.watch = newWatch(r.net)
	r.say()
	r.net.Go("director", r.direct)
	if limit := 30 * time.Minute; !r.net.Await(limit, func() bool { return r.done }) {
		r.wrong("the run does not end within %v of virtual time", limit)
	}
	if o.spoil != nil {
		o.spoil(r)
	}
	r.judge()
	return
}

func (r *run) wrong(format string, args ...any) {
	r.result.Violations = append(r.result.Violations, fmt.Sprintf(format, args...))
}

// say tells the plan.
func (r *run) say() {
	r.log.say("plan", "%d nodes, lists of %d, far apart: %v, %d users, %d channels, %v", r.plan.nodes, r.plan.listLen, r.plan.wan, r.plan.users, r.plan.channels, r.plan.lasts)
	for _, f := range r.plan.faults {
		r.log.say("plan", "%v", f)
	}
}

// direct is the task that leads through the parts of a run.
func (r *run) direct() {
	defer func() { r.done = true }()
	if !r.form() {
		return
	}
	r.bringUsers()
	r.net.Sleep(5 * time.Second)
	r.inject()
	for r.undoing > 0 {
		r.net.Sleep(100 * time.Millisecond)
	}
	r.log.say("fault", "all faults are over")
	r.recover()
	r.finish()
}

// form makes the ring, before any fault.
func (r *run) form() bool {
	for i := range r.plan.nodes {
		r.net.add(r.rng, r.plan.skews[i])
		r.net.Sleep(50 * time.Millisecond)
	}
	var err error
	for end := r.net.Elapsed() + ringFormsTime; r.net.Elapsed() < end; r.net.Sleep(100 * time.Millisecond) {
		if err = r.net.ideal(); err == nil {
			r.net.Sleep(3 * time.Second)
			r.watch.begin()
			return true
		}
	}
	r.wrong("no ring of %d nodes within %v: %v", r.plan.nodes, ringFormsTime, err)
	return false
}

func (r *run) bringUsers() {
	for i := range r.plan.users {
		u := &user{
			r: r, index: i, node: r.net.nodes[r.rng.IntN(len(r.net.nodes))], nick: fmt.Sprintf("u%d", i),
			rng: rand.New(rand.NewPCG(r.options.Seed, uint64(i))), probes: make(map[string]bool),
		}
		for ch := range r.plan.channels {
			if ch == 0 || r.rng.IntN(2) == 0 {
				u.wants = append(u.wants, channelName(ch))
			}
		}
		r.users = append(r.users, u)
		r.net.Go("user", u.live)
	}
}

// inhabited reports whether anybody whose session lives is in a channel.
func (r *run) inhabited(channel string) bool { return len(r.inside(channel)) > 0 }

// inside are the users who are in a channel.
func (r *run) inside(channel string) (list []*user) {
	for _, u := range r.users {
		if u.client != "" && slices.Contains(u.in, channel) {
			list = append(list, u)
		}
	}
	return list
}

// mayRule notes that a session may be operator of a channel from now on: it
// founded it, or an operator gave it that status.
func (r *run) mayRule(channel string, s chat.SessionID) { r.rules[ruler{channel, s}] = true }

// vanished notes that a session ended without its user's will.
func (r *run) vanished(p chat.Profile) {
	for ch := range r.plan.channels {
		if name := channelName(ch); r.rules[ruler{name, p.Session}] {
			r.former[formerOf(name, p)] = true
		}
	}
}

// retired is an operator who left a channel as he wanted.
type retired struct {
	former
	at time.Duration
}

// retires notes that somebody is about to leave a channel as he wants.
func (r *run) retires(channel string, p chat.Profile) {
	if r.rules[ruler{channel, p.Session}] {
		r.retired = append(r.retired, retired{formerOf(channel, p), r.net.Elapsed()})
	}
}

// unheard is called when the nodes that knew of a channel's last changes were
// lost together: who left then may be taken for one who vanished with them.
func (r *run) unheard(channel string, since time.Duration) {
	for _, x := range r.retired {
		if x.channel == channel && x.at >= since {
			r.former[x.former] = true
		}
	}
}

// untold is called when a node is lost that may not have told anybody which of its
// users left last.
func (r *run) untold(server string, since time.Duration) {
	for _, x := range r.retired {
		if x.server == server && x.at >= since {
			r.former[x.former] = true
		}
	}
}

// emptied is called when somebody is in a channel no more. Where only those are
// left who founded it anew, cut off from the others, theirs is the older
// one now.
func (r *run) emptied(channel string) {
	for _, u := range r.inside(channel) {
		if !slices.Contains(r.aside, ruler{channel, u.session.Self().Session}) {
			return
		}
	}
	for _, a := range r.aside {
		if a.channel == channel {
			r.rules[a] = true
		}
	}
}

func (r *run) refusal(err error) {
	text := err.Error()
	if i := strings.LastIndex(text, ": "); i >= 0 {
		text = text[i+2:]
	}
	r.refused[text]++
}

// finish lets it become quiet, and asks everybody what he sees.
func (r *run) finish() {
	r.over = true
	r.net.Sleep(quietTime)
	err := r.agree()
	for end := r.net.Elapsed() + quietTime; err != nil && r.net.Elapsed() < end; err = r.agree() {
		r.net.Sleep(100 * time.Millisecond)
	}
	if err != nil {
		r.wrong("not the same after quiet: %v", err)
	}
	r.askMembers()
	r.askNames()
}

// judge checks the history and the ring.
func (r *run) judge() {
	r.told(r.history)
	answer := answerTime
	for _, f := range r.plan.faults {
		if f.kind == pause {
			answer += f.lasts
		}
	}
	r.result.Report = r.history.Check(history.Rules{
		After: quietTime, UnderWay: underWay, AnswerWithin: answer, End: r.net.Elapsed(),
		Excuses: r.excuses, Breaks: r.breaks, Settling: comeTime,
	})
	r.result.Violations = append(r.result.Violations, r.result.Report.Violations...)
	r.result.Violations = append(r.result.Violations, r.watch.broken...)
	r.result.Elapsed, r.result.Events, r.result.Digest = r.net.Elapsed(), r.net.Events(), r.net.Digest()
}
