package load

import (
	"context"
	"errors"
	"math"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

func small(servers ...string) Options {
	o := Defaults()
	o.Servers, o.Count, o.Warmup, o.Clients, o.Channels, o.Each, o.Wait = servers, 40, 5, 7, 9, 4, 150*time.Millisecond
	return o
}

// faults are ways to mistreat messages, and what must be counted of 40.
var faults = []struct {
	name string
	f    func() func(number int, line string) []string
	want Counts
}{
	{"none", nil, Counts{Sent: 40}},
	{"each tenth lost", func() func(int, string) []string {
		return func(n int, l string) []string {
			if n%10 == 3 {
				return nil
			}
			return []string{l}
		}
	}, Counts{Sent: 40, Lost: 4}},
	{"each tenth doubled", func() func(int, string) []string {
		return func(n int, l string) []string {
			if n%10 == 3 {
				return []string{l, l}
			}
			return []string{l}
		}
	}, Counts{Sent: 40, Doubled: 4}},
	{"two exchanged", func() func(int, string) []string {
		held := ""
		return func(n int, l string) []string {
			switch n {
			case 11:
				held = l
				return nil
			case 12:
				return []string{l, held}
			}
			return []string{l}
		}
	}, Counts{Sent: 40, Reordered: 1}},
	{"one late by ten", func() func(int, string) []string {
		held := ""
		return func(n int, l string) []string {
			switch n {
			case 11:
				held = l
				return nil
			case 21:
				return []string{held, l}
			}
			return []string{l}
		}
	}, Counts{Sent: 40, Reordered: 1}},
	{"an old one again", func() func(int, string) []string {
		first := ""
		return func(n int, l string) []string {
			if n == 0 {
				first = l
			}
			if n == 39 {
				return []string{l, first}
			}
			return []string{l}
		}
	}, Counts{Sent: 40, Doubled: 1}},
	{"one cut short", func() func(int, string) []string {
		return func(n int, l string) []string {
			if n == 7 {
				return []string{l[:len(l)-1]}
			}
			return []string{l}
		}
	}, Counts{Sent: 40, Lost: 1, Altered: 1}},
	{"one changed", func() func(int, string) []string {
		return func(n int, l string) []string {
			if n == 7 {
				return []string{l[:len(l)-1] + "y"}
			}
			return []string{l}
		}
	}, Counts{Sent: 40, Lost: 1, Altered: 1}},
}

// What is lost, doubled, out of order or altered is counted as that. The
// messages have a timetable, so that several are in flight.
func TestFaultsAreCounted(t *testing.T) {
	for _, mode := range []string{"message", "fanout"} {
		for _, fault := range faults {
			t.Run(mode+"/"+fault.name, func(t *testing.T) {
				t.Parallel()
				s := newFakeServer(t)
				if fault.f != nil {
					s.mistreat = fault.f()
				}
				o := small(s.addr())
				o.Rate, o.Window = 4000, 40
				rep, err := Run(t.Context(), mode, o)
				if err != nil {
					t.Fatal(err)
				}
				want := fault.want
				if mode == "fanout" {
					want = Counts{want.Sent * 7, want.Lost * 7, want.Doubled * 7, want.Reordered * 7, want.Altered * 7}
				}
				if rep.Counts != want {
					t.Errorf("got %+v, want %+v", rep.Counts, want)
				}
				if rep.Counts.Clean() != (fault.f == nil) {
					t.Errorf("Clean is %v", rep.Counts.Clean())
				}
			})
		}
	}
}

// Every mode runs over two addresses without a loss.
func TestModes(t *testing.T) {
	sent := map[string]int{"message": 40, "private": 40 + 2*45, "fanout": 40 * 7, "channels": 40 * 9}
	names, helps := Modes()
	for i, mode := range names {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			if helps[i] == "" {
				t.Error("no help")
			}
			s := newFakeServer(t)
			o := small(s.addr(), s.addr())
			o.For, o.Wait = 50*time.Millisecond, 10*time.Second // nothing is lost here, whatever else the machine does
			o.PIDs = []int{os.Getpid()}
			if runtime.GOOS != "linux" && (mode == "idle" || mode == "quiet") {
				t.Skip("Linux only")
			}
			rep, err := Run(t.Context(), mode, o)
			if err != nil {
				t.Fatal(err)
			}
			if rep.Counts != (Counts{Sent: sent[mode]}) {
				t.Errorf("got %+v, want %d", rep.Counts, sent[mode])
			}
			if len(rep.Figures) < 2 || rep.Title == "" {
				t.Errorf("got %+v", rep)
			}
			for _, f := range rep.Figures {
				if math.IsNaN(f.Value) || math.IsInf(f.Value, 0) || f.Value < 0 && mode != "idle" {
					t.Errorf("%s is %v", f.Name, f.Value)
				}
			}
		})
	}
}

// A ping that is lost is no pong that is lost.
func TestPingPongCountsEachLossOnce(t *testing.T) {
	s := newFakeServer(t)
	s.mistreat = func(n int, l string) []string {
		if f := strings.Fields(l); f[5] == "t" && f[6] == "10" || f[5] == "b" && f[6] == "20" {
			return nil
		}
		return []string{l}
	}
	start := time.Now()
	rep, err := Run(t.Context(), "private", small(s.addr()))
	if err != nil {
		t.Fatal(err)
	}
	if d := time.Since(start); d > 20*150*time.Millisecond {
		t.Errorf("took %v: what is lost was waited for more than once", d)
	}
	if want := (Counts{Sent: 40 + 45 + 44, Lost: 2}); rep.Counts != want {
		t.Errorf("got %+v, want %+v", rep.Counts, want)
	}
}

// What is lost within a window does not end a fan-out.
func TestFanoutGoesOnAfterALoss(t *testing.T) {
	s := newFakeServer(t)
	s.mistreat = func(n int, l string) []string {
		if n == 3 || n == 30 {
			return nil
		}
		return []string{l}
	}
	o := small(s.addr())
	o.Window = 4
	rep, err := Run(t.Context(), "fanout", o)
	if err != nil {
		t.Fatal(err)
	}
	if want := (Counts{Sent: 280, Lost: 14}); rep.Counts != want {
		t.Errorf("got %+v, want %+v", rep.Counts, want)
	}
}

// A server that stalls is charged for what had to wait.
func TestStallIsNotOmitted(t *testing.T) {
	s := newFakeServer(t)
	s.mistreat = func(n int, l string) []string {
		if n == 10 {
			time.Sleep(100 * time.Millisecond) // the stall; nothing waits for it
		}
		return []string{l}
	}
	o := small(s.addr())
	o.Rate = 1000
	rep, err := Run(t.Context(), "message", o)
	if err != nil {
		t.Fatal(err)
	}
	if f := rep.Figures[0]; f.Name != "one way p50" || f.Value < 50 {
		t.Errorf("%s is %v %s, though most messages waited for the stall", f.Name, f.Value, f.Unit)
	}
}

// With a rate, times count from when a message was due, also after one that
// could not be sent for a while.
func TestPaceKeepsItsTimetable(t *testing.T) {
	r := &run{Options: Options{Rate: 1000, Wait: time.Millisecond}, clock: clock{time.Now()}}
	var due []time.Duration
	sent, late, err := r.pace(t.Context(), newFlow("x", "m", 40, 0), 40, func(number int, at time.Duration) error {
		if number == 10 {
			time.Sleep(50 * time.Millisecond) // the stall; nothing waits for it
		}
		due = append(due, at)
		return nil
	})
	if err != nil || sent != 40 || len(late) != 40 {
		t.Fatalf("sent %d, %d times late, %v", sent, len(late), err)
	}
	for i := range due {
		if got, want := due[i]-due[0], time.Duration(i)*time.Millisecond; got != want {
			t.Errorf("message %d was due after %v, want %v", i, got, want)
		}
	}
	if late[11] < 40*time.Millisecond {
		t.Errorf("the sender was stalled, and is said to have been %v late", late[11])
	}
}

func TestErrors(t *testing.T) {
	refusing := newFakeServer(t)
	refusing.greeting = ":fake 433 * x :Nickname is already in use\r\n"
	full := newFakeServer(t)
	full.greeting = "ERROR :Too many connections\r\n"
	silent := newFakeServer(t)
	silent.deafTo = "USER"
	noJoin := newFakeServer(t)
	noJoin.deafTo = "JOIN"
	long := newFakeServer(t)
	long.greeting = strings.Repeat("x", 64<<10)
	unlinked := []string{newFakeServer(t).addr(), newFakeServer(t).addr()}
	dead := newFakeServer(t)
	dead.l.Close()
	tests := []struct {
		name, mode string
		change     func(o *Options)
		want       string
	}{
		{"mode", "massage", nil, `there is no mode "massage"; there are message, private,`},
		{"no server", "message", func(o *Options) { o.Servers = nil }, "no server is named"},
		{"no port", "message", func(o *Options) { o.Servers = []string{"localhost"} }, "write HOST:PORT"},
		{"remote", "message", func(o *Options) { o.Servers = []string{"192.0.2.1:6667"} }, "not on this machine"},
		{"one remote", "fanout", func(o *Options) { o.Servers = append(o.Servers, "[2001:db8::1]:6667") }, "not on this machine"},
		{"all addresses", "fanout", func(o *Options) { o.Servers = append(o.Servers, "0.0.0.0:6667") }, "not on this machine"},
		{"count", "message", func(o *Options) { o.Count = 1 << 30 }, "count is 1073741824"},
		{"rate", "message", func(o *Options) { o.Rate = math.NaN() }, "rate"},
		{"size", "message", func(o *Options) { o.Size = 600 }, "size is 600"},
		{"channel", "message", func(o *Options) { o.Channel = "#a\r\nQUIT" }, "no channel name"},
		{"refused", "message", func(o *Options) { o.Servers = []string{refusing.addr()} }, "433 * x :Nickname is already in use"},
		{"full", "register", func(o *Options) { o.Servers = []string{full.addr()} }, "Too many connections"},
		{"silent", "idle", func(o *Options) { o.Servers, o.PIDs = []string{silent.addr()}, []int{os.Getpid()} }, "no answer within 150ms"},
		{"no join", "channels", func(o *Options) { o.Servers = []string{noJoin.addr()} }, "no answer within 150ms"},
		{"long line", "message", func(o *Options) { o.Servers = []string{long.addr()} }, "line that is too long"},
		{"unlinked", "message", func(o *Options) { o.Servers = unlinked }, "are the servers linked"},
		{"nobody", "message", func(o *Options) { o.Servers = []string{dead.addr()} }, "refused"},
		{"no process", "idle", func(o *Options) { o.PIDs = nil }, "add -pid PID"},
		{"no process", "quiet", func(o *Options) { o.PIDs = nil }, "add -pid PID"},
	}
	good := newFakeServer(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := small(good.addr())
			if test.change != nil {
				test.change(&o)
			}
			_, err := Run(t.Context(), test.mode, o)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// A run ends when its context does, whatever it waits for.
func TestEndsWithItsContext(t *testing.T) {
	s := newFakeServer(t)
	why := errors.New("enough")
	for _, mode := range []string{"message", "private", "channels"} {
		ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, why)
		o := small(s.addr())
		o.Count, o.Rate = 100_000, 10
		o.Each, o.Wait = 1, time.Minute
		if mode == "channels" {
			s = newFakeServer(t)
			s.mistreat = func(int, string) []string { return nil }
			o.Servers = []string{s.addr()}
		}
		start := time.Now()
		_, err := Run(ctx, mode, o)
		cancel()
		if !errors.Is(err, why) {
			t.Errorf("%s: got %v", mode, err)
		}
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("%s took %v", mode, d)
		}
	}
}

func TestPercentile(t *testing.T) {
	var hundred []time.Duration
	for i := range 100 {
		hundred = append(hundred, time.Duration(i+1))
	}
	for _, test := range []struct {
		of    []time.Duration
		share float64
		want  time.Duration
	}{
		{nil, 0.5, 0}, {hundred[:1], 0.5, 1}, {hundred[:1], 1, 1}, {hundred[:2], 0.5, 1}, {hundred[:3], 0.5, 2},
		{hundred, 0.5, 50}, {hundred, 0.9, 90}, {hundred, 0.99, 99}, {hundred, 1, 100},
	} {
		if got := percentile(test.of, test.share); got != test.want {
			t.Errorf("%v of %d: got %d, want %d", test.share, len(test.of), got, test.want)
		}
	}
}

func TestFormat(t *testing.T) {
	run := func(v float64) Report {
		return Report{Title: "title", Figures: []Figure{{"speed", v, "ms"}}, Counts: Counts{Sent: 10, Lost: 1}}
	}
	if got, want := Format([]Report{run(0.25)}), "title\nspeed     0.250 ms\nmessages  10 expected: 1 lost, 0 doubled, 0 out of order, 0 altered\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	got := Format([]Report{run(30), run(0.5), run(1234.5)})
	want := "title\n          median of 3 runs  least  greatest\nspeed     30 ms             0.500  1234\nmessages  30 expected: 3 lost, 0 doubled, 0 out of order, 0 altered\n"
	if got != want {
		t.Errorf("got\n%s, want\n%s", got, want)
	}
}

func TestParseLine(t *testing.T) {
	for _, test := range []struct{ in, source, command, trailing string }{
		{":a!b@c PRIVMSG #x :hello there", "a!b@c", "PRIVMSG", "hello there"},
		{":a PRIVMSG #x hello", "a", "PRIVMSG", "hello"},
		{"@time=x :a PRIVMSG #x :hello :)", "a", "PRIVMSG", "hello :)"},
		{"PING :token one", "", "PING", "token one"},
		{"PING token", "", "PING", "token"},
		{"", "", "", ""}, {":", "", "", ""}, {"@", "", "", ""}, {":a", "a", "", ""}, {"@t", "", "", ""},
	} {
		l := parseLine([]byte(test.in))
		if string(l.source) != test.source || string(l.command) != test.command || string(l.trailing()) != test.trailing {
			t.Errorf("%q: got %q %q %q", test.in, l.source, l.command, l.trailing())
		}
	}
}
