package chattest

import (
	"testing"
	"testing/synctest"

	"ircbridge/chat"
)

// inMemory is a harness of one network in memory, with virtual time; every
// node is a node of its own, or all are one. Users have accounts, or none.
func inMemory(oneNode, accounts bool) Harness {
	return func(t *testing.T, nodes int, body func(Env)) {
		synctest.Test(t, func(t *testing.T) {
			first := NewService(Options{Accounts: accounts})
			services := []chat.Service{first}
			for len(services) < nodes {
				if oneNode {
					services = append(services, first)
				} else {
					services = append(services, first.AddNode(chat.Node{}))
				}
			}
			RealEnv(t, services, func(e Env) { body(cuttable{e}) })
		})
	}
}

// cuttable is an Env of nodes in memory.
type cuttable struct{ Env }

func (c cuttable) Cut(nodes ...int) bool {
	first := c.Service(nodes[0]).(*Service)
	var rest []*Service
	for _, i := range nodes[1:] {
		rest = append(rest, c.Service(i).(*Service))
	}
	if first == c.Service(0) {
		return false
	}
	first.Cut(rest...)
	return true
}

func (c cuttable) Mend() { c.Service(0).(*Service).Mend() }

func TestSuiteOnSeveralNodes(t *testing.T) { Run(t, inMemory(false, true)) }

func TestSuiteOnOneNode(t *testing.T) { Run(t, inMemory(true, true)) }

// TestModesForAccounts: where users have none, they are kept out by +R of a channel, and of a user.
func TestModesForAccounts(t *testing.T) {
	for _, body := range []func(*world){testGateRegistered, testAccountsOnly} {
		inMemory(false, false)(t, 2, func(e Env) {
			w := &world{Env: e}
			defer w.closeAll()
			body(w)
		})
	}
}
