package demo

import (
	"context"
	"time"

	"ircbridge/history"
)

// side is one part of a network that is cut.
type side struct {
	nodes []*node
	nicks []string
}

func (s *story) sides() [2]side {
	near, far := s.plan.sides()
	a, b := s.ring.some(near), s.ring.some(far)
	return [2]side{{a, s.nicks(a)}, {b, s.nicks(b)}}
}

// cut cuts the network in two, and tells what each side makes of it.
func (s *story) cut(ctx context.Context) error {
	s.chapter("The network breaks in two")
	sides := s.sides()
	s.cutAt = s.clock()
	if err := s.ring.split(ctx, sides[0].nodes, sides[1].nodes); err != nil {
		return err
	}
	s.say("No packet passes any more between %s and %s. Nobody is told.", nodesText(numbersOf(sides[0].nodes)), nodesText(numbersOf(sides[1].nodes)))
	told := make(chan error, len(sides))
	for i := range sides {
		go func() { told <- s.apart(ctx, sides[i], sides[1-i]) }()
	}
	var err error
	for range sides {
		if e := <-told; err == nil {
			err = e
		}
	}
	if err == nil {
		err = s.show(ctx, splitTime-(s.clock()-s.cutAt))
	}
	if err != nil {
		return err
	}
	for i, side := range sides {
		witness := side.nicks[0]
		who, reason := s.ledger.departures(witness, s.cutAt)
		if len(who) == 0 {
			s.say("%s's screen shows nobody leave in so short a break: %s just say nothing.", capital(witness), and(sides[1-i].nicks))
			continue
		}
		s.say("%s's screen shows %s leave: %s.", capital(witness), and(who), reason)
	}
	return nil
}

// apart tells how one side goes on without the other.
func (s *story) apart(ctx context.Context, here, beyond side) error {
	if _, err := s.until(ctx, nodesText(numbersOf(here.nodes))+" close their ring", func(ctx context.Context) bool {
		return s.ring.closed(ctx, here.nodes)
	}); err != nil {
		return err
	}
	if len(here.nodes) == 1 {
		s.say("Node %d has noticed after %s that it is alone.", here.nodes[0].number, seconds(s.clock()-s.cutAt))
	} else {
		s.say("%s have closed a ring of their own after %s: %s.", capital(nodesText(numbersOf(here.nodes))), seconds(s.clock()-s.cutAt), path(here.nodes))
	}
	var at time.Duration
	if _, err := s.until(ctx, and(here.nicks)+" talk in "+s.plan.victim, func(context.Context) bool {
		var ok bool
		at, ok = s.ledger.firstAcked(s.plan.victim, s.cutAt, here.nicks)
		return ok
	}); err != nil {
		return err
	}
	keeper, _, err := s.keeper(ctx, here.nodes[0], s.plan.victim, here.nodes)
	if err != nil {
		return err
	}
	s.say("There node %d keeps %s; the first message of that side was accepted %s after the cut.", keeper.number, s.plan.victim, seconds(at-s.cutAt))
	return nil
}

// heal mends the network, and tells how what was apart becomes one.
func (s *story) heal(ctx context.Context) error {
	sides := s.sides()
	healed := s.clock()
	if err := s.ring.mend(ctx); err != nil {
		return err
	}
	s.say("The network is whole again.")
	ringed, err := s.until(ctx, "there is one ring again", func(ctx context.Context) bool { return s.ring.closed(ctx, s.ring.nodes) })
	if err != nil {
		return err
	}
	s.say("There is one ring again after %s: %s.", seconds(ringed), path(s.ring.nodes))
	if _, err := s.until(ctx, "every client shows everybody again", s.united); err != nil {
		return err
	}
	one := s.clock()
	s.say("Every client shows everybody again in every channel after %s.", seconds(one-healed))
	if err := s.show(ctx, showTime); err != nil {
		return err
	}
	var clients [2][]history.Client
	for i, side := range sides {
		for _, n := range side.nodes {
			clients[i] = append(clients[i], s.bots[n.number-1].clients()...)
		}
	}
	s.ledger.h.Split(s.cutAt, one, clients[0], clients[1])
	said, came := s.ledger.across(s.cutAt, healed, clients[0])
	refused := s.ledger.count(func(e *entry) bool { return e.refused > s.cutAt })
	s.say("Meanwhile %d messages were accepted and shown to those on the sender's side.", said)
	switch {
	case came == 0:
		s.say("The other side was not shown them afterwards: who was not there has not seen them.")
	case came == said:
		s.say("The other side was shown all of them after the healing, each once.")
	default:
		s.say("The other side was shown %d of them after the healing, each once.", came)
	}
	if refused > 0 {
		s.say("%d could not be accepted within five seconds, and their senders were told so.", refused)
	}
	return nil
}
