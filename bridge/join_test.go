package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ircbridge/host"
	"ircbridge/host/p2p"
)

// fakeRing is what a joiner sees of the network, under synctest's clock.
type fakeRing struct {
	mu      sync.Mutex
	answers map[string][]error // by address, one for each dial; the last one stays
	takes   time.Duration      // how long a dial takes
	refuse  int                // joins that fail first
	lone    bool
	known   []host.Peer
	dials   int
	joins   int
	log     []string
	began   time.Time
}

func (f *fakeRing) note(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.log = append(f.log, fmt.Sprintf("%5.1f ", time.Since(f.began).Seconds())+fmt.Sprintf(format, args...))
}

// plain is what was noted so far, without the times.
func (f *fakeRing) plain() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var plain []string
	for _, l := range f.log {
		plain = append(plain, l[6:])
	}
	return plain
}

// last is what was noted last.
func (f *fakeRing) last() string {
	all := f.plain()
	return all[len(all)-1]
}

// joiner makes one on the fake; it begins now.
func (f *fakeRing) joiner(addrs ...string) *joiner {
	f.began = time.Now()
	return &joiner{
		addrs: addrs,
		dial: func(addr string, d time.Duration) (host.Peer, error) {
			time.Sleep(min(f.takes, d))
			f.mu.Lock()
			defer f.mu.Unlock()
			f.dials++
			list := f.answers[addr]
			if len(list) > 1 {
				f.answers[addr] = list[1:]
			}
			return host.Peer{ID: "peer"}, list[0]
		},
		join: func(peers []host.Peer, d time.Duration) error {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.joins++
			if f.refuse > 0 {
				f.refuse--
				return errors.New("no")
			}
			f.lone = false
			return nil
		},
		create: func() { f.note("create"); f.mu.Lock(); f.lone = true; f.mu.Unlock() },
		alone:  func() bool { f.mu.Lock(); defer f.mu.Unlock(); return f.lone },
		known:  func() []host.Peer { return f.known },
		say:    f.note,
		log:    slog.New(slog.DiscardHandler),
	}
}

// play runs a joiner for so long and returns what it said and did, without
// the times.
func (f *fakeRing) play(t *testing.T, for_ time.Duration, addrs ...string) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), for_)
	defer cancel()
	f.joiner(addrs...).run(ctx, func() { f.note("ready") })
	return f.plain()
}

func TestJoining(t *testing.T) {
	const begun, trying = "create", "Joining through a:1 …"
	joined := "Joined the ring through a:1 (peer " + host.PeerID("peer").String() + ")."
	silent := "a:1 does not answer; trying again until it does. Is a node running there, and its port open for TCP and UDP?"
	foreign := "a:1 belongs to another overlay; to join it, give this node the same name under [overlay] in the configuration."
	gone := fmt.Errorf("dial: %w", host.ErrUnreachable)
	tests := []struct {
		name  string
		f     *fakeRing
		addrs []string
		want  []string
	}{
		{"nobody to join", &fakeRing{}, nil, []string{begun, "ready"}},
		{"at once", &fakeRing{answers: map[string][]error{"a:1": {nil}}}, []string{"a:1"}, []string{trying, joined, "ready"}},
		{"after a while", &fakeRing{answers: map[string][]error{"a:1": {gone, gone, gone, nil}}}, []string{"a:1"},
			[]string{trying, silent, begun, "ready", joined}},
		{"slow dial: alone first", &fakeRing{takes: 2 * time.Second, answers: map[string][]error{"a:1": {nil}}}, []string{"a:1"},
			[]string{trying, begun, "ready", joined}},
		{"each kind of failure once", &fakeRing{answers: map[string][]error{"a:1": {gone, gone, host.ErrOtherOverlay, host.ErrOtherOverlay, gone, nil}}}, []string{"a:1"},
			[]string{trying, silent, begun, "ready", foreign, silent, joined}},
		{"not taken in at first", &fakeRing{refuse: 2, answers: map[string][]error{"a:1": {nil}}}, []string{"a:1"},
			[]string{trying, "a:1 answers, but its ring did not take this node in; trying again.", begun, "ready", joined}},
		{"itself", &fakeRing{answers: map[string][]error{"a:1": {p2p.ErrSelf}}}, []string{"a:1"},
			[]string{trying, "a:1 is this node itself, and is left out.", begun, "ready"}},
		{"back", &fakeRing{known: []host.Peer{{}}}, nil, []string{"Back in the ring, through a node known from before.", "ready"}},
		{"not back", &fakeRing{refuse: 1, known: []host.Peer{{}}}, nil, []string{begun, "ready"}},
		{"back because the address is silent", &fakeRing{answers: map[string][]error{"a:1": {gone}}, known: []host.Peer{{}}}, []string{"a:1"},
			[]string{trying, silent, "Back in the ring, through a node known from before.", "ready", "Other nodes are in the ring of this one; it tries a:1 again when it is alone."}},
		{"never", &fakeRing{answers: map[string][]error{"a:1": {gone}}}, []string{"a:1"}, []string{trying, silent, begun, "ready"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got := test.f.play(t, time.Hour, test.addrs...)
				if !slices.Equal(got, test.want) {
					t.Errorf("\n got: %s\nwant: %s", strings.Join(got, " | "), strings.Join(test.want, " | "))
				}
			})
		})
	}
}

func TestJoiningSlowsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeRing{answers: map[string][]error{"a:1": {host.ErrUnreachable}}}
		f.play(t, time.Hour, "a:1")
		if f.dials < 80 || f.dials > 250 { // a pause is 15 to 45 s in the end
			t.Errorf("%d dials in an hour", f.dials)
		}
	})
}

// Somebody joins this node while it dials: it stays with him.
func TestJoiningLeavesNobodyBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeRing{takes: 2 * time.Second, answers: map[string][]error{"a:1": {nil}}}
		j := f.joiner("a:1")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		j.run(ctx, func() { f.lone = false }) // create has just returned
		if f.joins != 0 {
			t.Error("it joined another ring")
		}
	})
}

func TestJoiningThroughTheFirstThatAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := fakeRing{answers: map[string][]error{"a:1": {host.ErrTimeout}, "b:2": {nil}}}
		got := strings.Join(f.play(t, time.Hour, "a:1", "b:2"), "\n")
		if !strings.Contains(got, "Joined the ring through b:2") || strings.Contains(got, "create") {
			t.Errorf("got:\n%s", got)
		}
	})
}

// A node that others joined while it was alone leaves them alone; when it is
// left alone again, it tries again.
func TestJoiningWaitsWhileOthersAreThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone := host.ErrUnreachable
		f := &fakeRing{answers: map[string][]error{"a:1": {gone, gone, nil, gone, nil}}}
		ctx, cancel := context.WithCancel(t.Context())
		j := f.joiner("a:1")
		var done sync.WaitGroup
		done.Go(func() { j.run(ctx, func() {}) })
		alone := func(now bool) { f.mu.Lock(); f.lone = now; f.mu.Unlock() }
		synctest.Wait() // alone, and in its first pause
		alone(false)
		time.Sleep(time.Minute)
		if got := f.last(); !strings.Contains(got, "Other nodes are in the ring") {
			t.Errorf("last line %q", got)
		}
		alone(true)
		time.Sleep(time.Minute)
		if got := f.last(); !strings.Contains(got, "Joined the ring") {
			t.Errorf("last line %q", got)
		}
		alone(true) // what failed before is told again
		time.Sleep(time.Minute)
		all := strings.Join(f.plain(), "\n")
		if n := strings.Count(all, "does not answer"); n != 2 {
			t.Errorf("told %d times that nobody answers:\n%s", n, all)
		}
		cancel()
		done.Wait()
	})
}

func TestCompanyIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeRing{}
		ctx, cancel := context.WithCancel(t.Context())
		j := f.joiner()
		var done sync.WaitGroup
		done.Go(func() { j.run(ctx, func() {}) })
		for _, lone := range []bool{true, false, false, true} {
			synctest.Wait()
			f.mu.Lock()
			f.lone = lone
			f.mu.Unlock()
			time.Sleep(2 * watchPause)
		}
		cancel()
		done.Wait()
		got := f.plain()
		if want := []string{"create", "Other nodes are in the ring of this one.", "This node is alone now."}; !slices.Equal(got, want) {
			t.Errorf("got %q", got)
		}
	})
}

func TestEveryFailureIsTold(t *testing.T) {
	for err, want := range map[error]string{
		host.ErrOtherOverlay: "another overlay", host.ErrOtherVersion: "another major version", host.ErrWrongPeer: "another node",
		host.ErrNotOurs: "no ircbridge node", host.ErrBadAddress: "no address", host.ErrBusy: "too busy",
		host.ErrTimeout: "does not answer", host.ErrUnreachable: "does not answer",
	} {
		if _, text := failure(fmt.Errorf("dial x: %w", err)); !strings.Contains(text, want) || strings.Count(text, "%s") != 1 {
			t.Errorf("%v: %q", err, text)
		}
	}
}
