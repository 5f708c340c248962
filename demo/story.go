package demo

import (
	"context"
	"fmt"
	"slices"
	"time"

	"ircbridge/history"
)

// story is one demonstration while it is played.
type story struct {
	*narrator
	plan   plan
	ring   *ring
	bots   []*bot // by number, from 1
	ledger *ledger
	cutAt  time.Duration   // when the network was cut
	breaks []history.Break // when a keeper was killed

	// problems are what went wrong beside what the history shows.
	problems []string
}

// How long things are shown, and how long they are waited for at most.
const (
	showTime  = 4 * time.Second       // for the audience to watch what works
	splitTime = 12 * time.Second      // the network is cut
	patience  = 20 * time.Second      // for what should take some seconds at most
	look      = 25 * time.Millisecond // between two looks at what is waited for
)

const topicText = "Nothing said is lost"

// play plays all scenes. An error says why it could not go on.
func (s *story) play(ctx context.Context) error {
	for _, scene := range []func(context.Context) error{
		s.begin, s.meet, s.killKeeper, s.comeBack, s.cut, s.heal, s.restart, s.end,
	} {
		if err := scene(ctx); err != nil {
			return err
		}
	}
	return nil
}

// until waits until something holds, and returns how long that took. That it
// does not come to hold is an error that says what was waited for.
func (s *story) until(ctx context.Context, what string, holds func(context.Context) bool) (time.Duration, error) {
	began := s.clock()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for !holds(ctx) {
		if !pause(ctx, look) {
			if took := s.clock() - began; took >= patience {
				return took, fmt.Errorf("waited %v in vain: %s", patience, what)
			}
			return 0, context.Cause(ctx)
		}
	}
	return s.clock() - began, nil
}

// show lets the audience watch for a while.
func (s *story) show(ctx context.Context, d time.Duration) error {
	if !pause(ctx, d) {
		return context.Cause(ctx)
	}
	return nil
}

// begin starts the nodes.
func (s *story) begin(ctx context.Context) error {
	nodes := s.ring.nodes
	s.chapter("A ring is formed")
	s.say("%s nodes start on this machine, each a process with files and ports of its own.", capital(spell(len(nodes))))
	if err := s.ring.start(ctx, nodes[:1]); err != nil {
		return err
	}
	if err := s.ring.start(ctx, nodes[1:], nodes[0].ready().Overlay); err != nil {
		return err
	}
	if _, err := s.until(ctx, "the nodes form a ring", func(ctx context.Context) bool { return s.ring.closed(ctx, nodes) }); err != nil {
		return err
	}
	s.say("They have found their places: %s. None of them is a server for the others.", path(nodes))
	return nil
}

// meet connects the bots.
func (s *story) meet(ctx context.Context) error {
	// Who comes first is an operator, and may set the topic.
	founder := s.bots[0]
	founder.enter()
	if _, err := s.until(ctx, founder.nick+" is on the channels", func(context.Context) bool { return founder.on() }); err != nil {
		return err
	}
	for _, b := range s.bots {
		b.enter()
	}
	if _, err := s.until(ctx, "the bots are on their channels", s.allOn); err != nil {
		return err
	}
	s.say("A bot with an IRC client is at each node, and on %s:", and(channels))
	s.say("%s.", and(s.homes()))
	if err := founder.setTopic(channels[0], topicText); err != nil {
		return err
	}
	if _, err := s.until(ctx, "all see the topic of "+channels[0], s.topicKept); err != nil {
		return err
	}
	s.say("%s sets the topic of %s: \"%s\".", founder.nick, channels[0], topicText)
	why := ", because its name hashes to that place on the ring"
	for _, c := range channels {
		keeper, replicas, err := s.keeper(ctx, s.ring.nodes[0], c, s.ring.nodes)
		if err != nil {
			return err
		}
		s.say("%s is kept by node %d%s. Copies: %s.", c, keeper.number, why, nodesText(numbersOf(replicas)))
		why = ""
	}
	began := s.clock()
	s.talk(true)
	if err := s.show(ctx, showTime); err != nil {
		return err
	}
	n := s.ledger.count(func(e *entry) bool { return e.acked > 0 })
	s.say("The bots chat: %d messages so far, each with everybody after %s (median).", n, milliseconds(s.ledger.median(began)))
	return nil
}

// keeper asks a node who keeps a channel, until it names one of some nodes: one that
// has just died or been cut off may still be believed to be there.
func (s *story) keeper(ctx context.Context, asked *node, channel string, among []*node) (keeper *node, replicas []*node, err error) {
	_, err = s.until(ctx, fmt.Sprintf("node %d says who keeps %s", asked.number, channel), func(ctx context.Context) bool {
		keeper, replicas = s.ring.keeps(ctx, asked, channel)
		return keeper != nil && slices.Contains(among, keeper)
	})
	return keeper, replicas, err
}

// killKeeper kills the keeper of the channel that the seed has drawn.
func (s *story) killKeeper(ctx context.Context) error {
	s.chapter("The keeper of a channel dies")
	channel := s.plan.victim
	victim, _, err := s.keeper(ctx, s.ring.nodes[0], channel, s.ring.nodes)
	if err != nil {
		return err
	}
	dead := s.bots[victim.number-1]
	killed := s.clock()
	s.breaks = append(s.breaks, history.Break{From: killed, To: killed})
	s.ring.killAll([]*node{victim})
	s.say("Node %d, which keeps %s, is killed (kill -9). Its bot %s loses the connection.", victim.number, channel, dead.nick)
	rest := slices.DeleteFunc(slices.Clone(s.ring.nodes), func(n *node) bool { return n == victim })
	var at time.Duration
	if _, err := s.until(ctx, "messages to "+channel+" are accepted again", func(context.Context) bool {
		var ok bool
		at, ok = s.ledger.firstAcked(channel, killed, s.nicks(rest))
		return ok
	}); err != nil {
		return err
	}
	var heir *node
	if _, err := s.until(ctx, "the ring knows the new keeper of "+channel, func(ctx context.Context) bool {
		heir, _ = s.ring.keeps(ctx, rest[0], channel)
		return heir != nil && heir != victim
	}); err != nil {
		return err
	}
	s.say("Node %d has taken %s over from its copy: messages are accepted again %s after the kill.", heir.number, channel, seconds(at-killed))
	if _, err := s.until(ctx, "the ring closes without the dead node", func(ctx context.Context) bool { return s.ring.closed(ctx, rest) }); err != nil {
		return err
	}
	s.say("The ring has closed the gap: %s.", path(rest))
	return s.show(ctx, showTime)
}

// comeBack starts the node that was killed.
func (s *story) comeBack(ctx context.Context) error {
	i := slices.IndexFunc(s.ring.nodes, func(n *node) bool { return n.irc() == "" })
	dead := s.ring.nodes[i]
	s.say("Node %d starts again, from its disk; nobody tells it whom to join.", dead.number)
	began := s.clock()
	if err := dead.start(ctx); err != nil {
		return err
	}
	if _, err := s.until(ctx, "the node that was dead is back", func(ctx context.Context) bool {
		return s.ring.closed(ctx, s.ring.nodes) && s.bots[i].on()
	}); err != nil {
		return err
	}
	keeper, _, err := s.keeper(ctx, s.ring.nodes[0], s.plan.victim, s.ring.nodes)
	if err != nil {
		return err
	}
	s.say("It is back after %s, %s is on the channels again, and %s is kept by node %d.", seconds(s.clock()-began), s.bots[i].nick, s.plan.victim, keeper.number)
	return s.show(ctx, showTime)
}

// restart kills all nodes at once and starts them from their disks.
func (s *story) restart(ctx context.Context) error {
	s.chapter("All nodes die at once")
	killed := s.clock()
	s.ring.killAll(s.ring.nodes)
	s.say("All %s nodes are killed at the same moment (kill -9). Nobody has a connection.", spell(len(s.ring.nodes)))
	if err := s.show(ctx, showTime/8); err != nil {
		return err
	}
	began := s.clock()
	s.say("They start again, from their disks; nobody tells them whom to join.")
	if err := s.ring.start(ctx, s.ring.nodes); err != nil {
		return err
	}
	if _, err := s.until(ctx, "the nodes form a ring again", func(ctx context.Context) bool { return s.ring.closed(ctx, s.ring.nodes) }); err != nil {
		return err
	}
	s.say("They have found each other: one ring of %s after %s.", spell(len(s.ring.nodes)), seconds(s.clock()-began))
	if _, err := s.until(ctx, "the bots are on their channels again", s.allOn); err != nil {
		return err
	}
	if _, err := s.until(ctx, "every client shows everybody", s.united); err != nil {
		return err
	}
	s.say("All bots are back on %s after %s.", and(channels), seconds(s.clock()-began))
	// Until then nodes that have not found each other were as apart as in a split.
	var alone [][]history.Client
	for _, b := range s.bots {
		alone = append(alone, b.clients())
	}
	s.ledger.h.Split(killed, s.clock(), alone...)
	topic, err := s.bots[0].topic(ctx, channels[0])
	if err != nil {
		return err
	}
	if topic == topicText {
		s.say("The topic of %s is still \"%s\".", channels[0], topic)
	} else {
		s.say("The topic of %s is lost: it is \"%s\" now.", channels[0], topic)
		s.problems = append(s.problems, fmt.Sprintf("the topic of %s was %q before all nodes died, and is %q", channels[0], topicText, topic))
	}
	return s.show(ctx, showTime)
}

// end lets the bots fall silent, and notes whom their clients show.
func (s *story) end(ctx context.Context) error {
	s.chapter("The end")
	s.talk(false)
	s.say("The bots fall silent, and what is under way arrives.")
	if _, err := s.until(ctx, "all is answered and delivered", func(context.Context) bool {
		return !slices.ContainsFunc(s.bots, func(b *bot) bool { return !b.quiet() }) && s.ledger.silence() > settled
	}); err != nil {
		return err
	}
	for _, b := range s.bots {
		for _, c := range channels {
			nicks, err := b.members(ctx, c)
			if err != nil {
				return fmt.Errorf("asking %s who is on %s: %w", b.nick, c, err)
			}
			s.ledger.h.Members(history.Client(b.nick), c, nicks)
		}
	}
	return nil
}

// talk lets all bots chat, or keeps them quiet.
func (s *story) talk(talks bool) {
	for _, b := range s.bots {
		b.talk(talks)
	}
}

// homes says which bot is at which node.
func (s *story) homes() (list []string) {
	for _, b := range s.bots {
		list = append(list, fmt.Sprintf("%s at node %d", b.nick, b.home.number))
	}
	return list
}

// allOn reports whether all bots are on all channels.
func (s *story) allOn(context.Context) bool {
	return !slices.ContainsFunc(s.bots, func(b *bot) bool { return !b.on() })
}

// topicKept reports whether all clients show the topic.
func (s *story) topicKept(ctx context.Context) bool {
	return !slices.ContainsFunc(s.bots, func(b *bot) bool {
		topic, err := b.topic(ctx, channels[0])
		return err != nil || topic != topicText
	})
}

// united reports whether every client shows everybody in every channel.
func (s *story) united(ctx context.Context) bool {
	return !slices.ContainsFunc(s.bots, func(b *bot) bool {
		return slices.ContainsFunc(channels, func(c string) bool {
			nicks, err := b.members(ctx, c)
			return err != nil || !slices.Equal(nicks, s.nicks(s.ring.nodes))
		})
	})
}

// nicks are those of the bots at nodes, sorted.
func (s *story) nicks(nodes []*node) (list []string) {
	for _, n := range nodes {
		list = append(list, s.bots[n.number-1].nick)
	}
	slices.Sort(list)
	return list
}

// milliseconds is a short duration for people.
func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}
