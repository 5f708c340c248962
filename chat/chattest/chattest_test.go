package chattest

import (
	"testing"
	"testing/synctest"

	"ircbridge/chat"
)

// inMemory is a harness of one network in memory, with virtual time; every
// node is a node of its own, or all are one.
func inMemory(oneNode bool) Harness {
	return func(t *testing.T, nodes int, body func(Env)) {
		synctest.Test(t, func(t *testing.T) {
			first := NewService(Options{Accounts: true})
			services := []chat.Service{first}
			for len(services) < nodes {
				if oneNode {
					services = append(services, first)
				} else {
					services = append(services, first.AddNode(chat.Node{}))
				}
			}
			RealEnv(t, services, body)
		})
	}
}

func TestSuiteOnSeveralNodes(t *testing.T) { Run(t, inMemory(false)) }

func TestSuiteOnOneNode(t *testing.T) { Run(t, inMemory(true)) }
