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
		introduce: func(host.Peer) { f.note("introduced") },
		create:    func() { f.note("create"); f.mu.Lock(); f.lone = true; f.mu.Unlock() },
		alone:     func() bool { f.mu.Lock(); defer f.mu.Unlock(); return f.lone },
		known:     func() []host.Peer { return f.known },
		self:      "me",
		connected: func(id host.PeerID) bool { return id != "deaf" },
		say:       f.note,
		log:       slog.New(slog.DiscardHandler),
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
		{"not back", &fakeRing{refuse: 1, known: []host.Peer{{ID: "you"}}}, nil, []string{begun, "ready"}},
		{"all start again, and another one begins", &fakeRing{refuse: 1, known: []host.Peer{{ID: "lower"}}}, nil,
			[]string{"Back in the ring, through a node known from before.", "ready"}},
		{"all start again, and the other one begins nothing", &fakeRing{refuse: 2, known: []host.Peer{{ID: "lower"}}}, nil, []string{begun, "ready"}},
		{"all start again, and this one begins", &fakeRing{refuse: 1, known: []host.Peer{{ID: "zoe"}}}, nil, []string{begun, "ready"}},
		{"not back, and nobody else runs", &fakeRing{refuse: 1, known: []host.Peer{{ID: "deaf"}}}, nil, []string{begun, "ready"}},
		{"back because the address is silent", &fakeRing{answers: map[string][]error{"a:1": {gone}}, known: []host.Peer{{}}}, []string{"a:1"},
			[]string{trying, silent, "Back in the ring, through a node known from before.", "ready"}},
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

// Somebody joins this node while it dials: it stays with him, and tells the
// ring of the other one.
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
		if n := strings.Count(strings.Join(f.plain(), "\n"), "introduced"); n != 1 {
			t.Errorf("the ring was told %d times", n)
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

// Two addresses may lie in two rings: the one that the node joins is told of
// the other.
func TestJoiningTwoRings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := fakeRing{answers: map[string][]error{"a:1": {nil}, "b:2": {nil}, "c:3": {p2p.ErrSelf}, "d:4": {host.ErrTimeout}}}
		got := f.play(t, time.Hour, "a:1", "b:2", "c:3", "d:4")
		joined, told := 0, 0
		for _, line := range got {
			if strings.HasPrefix(line, "Joined the ring through ") {
				joined++
			}
			if line == "introduced" {
				told++
			}
		}
		if joined != 1 || told != 1 {
			t.Errorf("got:\n%s", strings.Join(got, "\n"))
		}
	})
}

// A node that others joined while it was alone stays with them, and tells its
// ring of whom it was to join; when it is left alone again, it joins.
func TestJoiningWithCompany(t *testing.T) {
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
		if got := j.state.read(); len(got) != 1 || got[0].State != joinAnswers || got[0].Error != "" {
			t.Errorf("the address is at %+v", got)
		}
		alone(true)
		time.Sleep(time.Minute)
		if got := j.state.read(); got[0].State != joinJoined {
			t.Errorf("the address is at %+v", got)
		}
		cancel()
		done.Wait()
		silent := "a:1 does not answer; trying again until it does. Is a node running there, and its port open for TCP and UDP?"
		peer := host.PeerID("peer").String()
		want := []string{
			"Joining through a:1 …", silent, "create", "Other nodes are in the ring of this one.",
			"introduced", "a:1 answers (peer " + peer + "). If it is in another ring than this node, the two become one.",
			"This node is alone again; joining through a:1 …", silent, // what failed before is told again
			"Joined the ring through a:1 (peer " + peer + ").",
		}
		if got := f.plain(); !slices.Equal(got, want) {
			t.Errorf("\n got: %s\nwant: %s", strings.Join(got, " | "), strings.Join(want, " | "))
		}
	})
}

// What is told of an address while it is tried.
func TestStateOfAnAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeRing{takes: 2 * time.Second, answers: map[string][]error{"a:1": {host.ErrUnreachable}, "b:2": {p2p.ErrSelf}}}
		ctx, cancel := context.WithCancel(t.Context())
		j := f.joiner("a:1", "b:2")
		var done sync.WaitGroup
		done.Go(func() { j.run(ctx, func() {}) })
		synctest.Wait()
		want := []JoinStatus{{Address: "a:1", State: joinDialling}, {Address: "b:2", State: joinDialling}}
		if got := j.state.read(); !slices.Equal(got, want) {
			t.Errorf("at first: %+v", got)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		got := j.state.read()
		if len(got) != 1 || got[0].Address != "a:1" || got[0].State != joinWaiting || got[0].Error != host.ErrUnreachable.Error() || !got[0].Next.After(time.Now()) {
			t.Errorf("then: %+v", got)
		}
		cancel()
		done.Wait()
	})
}

// Nodes that are found on the local network, by a node alone and by one with
// company.
func TestFoundNodes(t *testing.T) {
	peer := func(id host.PeerID) host.Peer { return host.Peer{ID: id} }
	text := func(id host.PeerID) string { return id.String() }
	tests := []struct {
		name    string
		company bool
		refuse  int
		known   []host.Peer
		found   []host.PeerID
		want    []string
	}{
		{"alone", false, 0, nil, []host.PeerID{"z", "z"},
			[]string{"Joined the ring through a node found on the local network (peer " + text("z") + ").",
				"Found another node on the local network (peer " + text("z") + ").", "introduced"}},
		{"alone, and the other one goes first", false, 0, nil, []host.PeerID{"a"},
			[]string{"Joined the ring through a node found on the local network (peer " + text("a") + ")."}},
		{"not taken in at first", false, 1, nil, []host.PeerID{"z", "z"},
			[]string{"A node was found on the local network (peer " + text("z") + "), but its ring did not take this one in; trying again.", "introduced",
				"Joined the ring through a node found on the local network (peer " + text("z") + ")."}},
		{"with company", true, 0, nil, []host.PeerID{"z", "z"},
			[]string{"Found another node on the local network (peer " + text("z") + ").", "introduced", "introduced"}},
		{"of the same ring", true, 0, []host.Peer{peer("z")}, []host.PeerID{"z"}, []string{"introduced"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fakeRing{refuse: test.refuse}
				j := f.joiner()
				j.self, j.found = "m", make(chan host.Peer)
				j.known = func() []host.Peer {
					if !j.begun {
						return nil // so that it begins alone
					}
					return test.known
				}
				ctx, cancel := context.WithCancel(t.Context())
				var done sync.WaitGroup
				done.Go(func() {
					j.run(ctx, func() {
						f.mu.Lock()
						defer f.mu.Unlock()
						f.lone, f.log = !test.company, nil
						j.lone = f.lone
					})
				})
				for _, id := range test.found {
					j.found <- peer(id)
				}
				time.Sleep(time.Minute)
				cancel()
				done.Wait()
				if got := f.plain(); !slices.Equal(got, test.want) {
					t.Errorf("\n got: %s\nwant: %s", strings.Join(got, " | "), strings.Join(test.want, " | "))
				}
			})
		})
	}
}

// Of two nodes that find each other at one moment, both alone, one goes first.
func TestTwoThatFindEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeRing{}
		j := f.joiner()
		j.self, j.found = "b", make(chan host.Peer)
		ctx, cancel := context.WithCancel(t.Context())
		var done sync.WaitGroup
		done.Go(func() { j.run(ctx, func() {}) })
		j.found <- host.Peer{ID: "a"} // the lower one, which joins this node
		time.Sleep(yieldTime / 4)
		f.mu.Lock()
		f.lone = false
		f.mu.Unlock()
		time.Sleep(time.Minute)
		cancel()
		done.Wait()
		if f.joins != 0 {
			t.Error("both went")
		}
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
		host.ErrTimeout: "does not answer", host.ErrUnreachable: "does not answer", p2p.ErrTwin: "this node's key",
	} {
		if _, text := failure(fmt.Errorf("dial x: %w", err)); !strings.Contains(text, want) || strings.Count(text, "%s") != 1 {
			t.Errorf("%v: %q", err, text)
		}
	}
}
