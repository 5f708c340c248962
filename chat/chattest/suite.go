package chattest

import (
	"fmt"
	"testing"
	"time"

	"ircbridge/chat"
)

// Env is what a test of the suite stands on: a network of nodes, tasks and
// time. RealEnv has goroutines and the clock; a simulated network has
// coroutines and virtual time. A body blocks only through its Env and through
// the methods of sessions: it has no channels, wait groups or go statements.
type Env interface {
	// T is the test. A task fails it with Errorf, or through Fatalf.
	T() *testing.T
	// Service is the chat.Service of node i, from 0 to the number asked for.
	// Some may be the same.
	Service(i int) chat.Service
	// Go starts a task. It must end when all sessions are closed.
	Go(name string, f func())
	// Eventually runs cond now and then until it holds. After a time that no
	// correct network needs it ends the test through Fatalf.
	Eventually(what string, cond func() bool)
	// Sleep blocks for d, in the time of this Env.
	Sleep(d time.Duration)
	// Now is the time of this Env.
	Now() time.Time
	// Fatalf fails the test and unwinds the calling task, which need not be
	// the goroutine of the test. See Guard.
	Fatalf(format string, args ...any)
}

// Cutter is an Env whose network can be cut.
type Cutter interface {
	// Cut parts these nodes from all others, until Mend. It reports whether it
	// could: nodes that are the same cannot be parted.
	Cut(nodes ...int) bool
	// Mend makes the network whole again.
	Mend()
}

// Harness makes a network of so many nodes, waits until they know each other,
// runs body inside a task, and ends the network. Each subtest has a network of
// its own.
type Harness func(t *testing.T, nodes int, body func(Env))

// Base is the part of an Env that is the same in all; embed it.
type Base struct{ Test *testing.T }

// T implements Env.
func (b Base) T() *testing.T { return b.Test }

// unwound is what Fatalf panics with.
type unwound struct{}

// Fatalf implements Env.
func (b Base) Fatalf(format string, args ...any) {
	b.Test.Helper()
	b.Test.Errorf(format, args...)
	panic(unwound{})
}

// Guard runs f, the body or a task of an Env, and returns when f is done or
// was unwound by Fatalf. Other panics pass.
func Guard(f func()) {
	defer func() {
		if r := recover(); r != nil {
			if _, ours := r.(unwound); !ours {
				panic(r)
			}
		}
	}()
	f()
}

// testCase is one subtest on a network of so many nodes.
type testCase struct {
	name  string
	nodes int
	body  func(w *world)
}

// Run runs the conformance suite: what package chat promises, seen by sessions
// on up to three nodes. What holds on one node must hold across nodes.
func Run(t *testing.T, with Harness) {
	for _, group := range []struct {
		name  string
		cases []testCase
	}{
		{"session", sessionCases()},
		{"nick", nickCases()},
		{"channel", channelCases()},
		{"message", messageCases()},
		{"lines", linesCases()},
		{"redact", redactCases()},
		{"order", orderCases()},
		{"mode", modeCases()},
		{"halfop", halfopCases()},
		{"list", listCases()},
		{"knock", knockCases()},
		{"rename", renameCases()},
		{"gate", gateCases()},
		{"people", peopleCases()},
		{"profile", profileCases()},
		{"take", takeCases()},
		{"split", splitCases()},
		{"watch", watchCases()},
		{"metadata", metadataCases()},
	} {
		t.Run(group.name, func(t *testing.T) {
			for _, c := range group.cases {
				t.Run(c.name, func(t *testing.T) {
					with(t, c.nodes, func(e Env) {
						w := &world{Env: e}
						defer w.closeAll()
						c.body(w)
					})
				})
			}
		})
	}
}

// where names a node in the text of a failure.
func where(i int) string { return fmt.Sprintf("node %d", i) }
