package demo

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// channels are those that the bots are on. Which node keeps which of them
// follows from the nodes' IDs, which are new each time.
var channels = []string{"#demo", "#tea", "#news"}

// names are the bots', one for each node.
var names = []string{
	"ann", "bob", "cid", "dora", "eve", "finn", "gus", "hal", "ida", "joe",
	"kim", "leo", "mia", "ned", "olga", "pia", "quin", "rose", "sam", "tess",
}

// phrases are what bots have to say.
var phrases = []string{
	"the kettle is on", "has anybody seen my keys?", "good morning", "it rains again", "I am reading about rings",
	"who keeps this channel now?", "no server, no master", "three copies of everything", "see you in a minute", "the tea is ready",
}

// Limits of the number of nodes: with two, nobody could take over what a
// third is to have a copy of; twenty processes are enough for a machine.
const (
	minNodes = 3
	maxNodes = 20
)

// plan is what the seed draws.
type plan struct {
	seed  uint64
	nodes int
	// victim is the channel whose keeper dies.
	victim string
	// beyond are the numbers of the nodes beyond the cut, in order; fewer
	// than those on this side.
	beyond []int
}

// CheckNodes says what is wrong with a number of nodes.
func CheckNodes(nodes int) error {
	if nodes < minNodes || nodes > maxNodes {
		return fmt.Errorf("a demonstration has %d to %d nodes, not %d", minNodes, maxNodes, nodes)
	}
	return nil
}

func newPlan(nodes int, seed uint64) (plan, error) {
	if err := CheckNodes(nodes); err != nil {
		return plan{}, err
	}
	r := rand.New(rand.NewPCG(seed, 0))
	p := plan{seed: seed, nodes: nodes, victim: channels[r.IntN(len(channels))]}
	for _, i := range r.Perm(nodes)[:(nodes-1)/2] {
		p.beyond = append(p.beyond, i+1)
	}
	slices.Sort(p.beyond)
	return p, nil
}

// sides are the numbers of the nodes on this side of the cut, and beyond it.
func (p plan) sides() (near, far []int) {
	for i := 1; i <= p.nodes; i++ {
		if !slices.Contains(p.beyond, i) {
			near = append(near, i)
		}
	}
	return near, p.beyond
}

// meanPause is between two messages of one bot: about thirty a second come
// from all bots together, however many there are.
func (p plan) meanPause() time.Duration { return time.Duration(p.nodes) * 33 * time.Millisecond }

// chatter draws what one bot says, where and when.
type chatter struct {
	r      *rand.Rand
	nick   string
	victim string
	mean   time.Duration
	n      int // of messages so far
}

func (p plan) chatter(number int) *chatter {
	return &chatter{
		r: rand.New(rand.NewPCG(p.seed, uint64(number))), nick: names[number-1], victim: p.victim, mean: p.meanPause(),
	}
}

// pause is before the next message: half to one and a half of the mean.
func (c *chatter) pause() time.Duration { return c.mean/2 + time.Duration(c.r.Int64N(int64(c.mean))) }

// next is the next message, unique in the whole story. Half of all go to the
// channel whose keeper dies. in are the channels that the bot is on.
func (c *chatter) next(in []string) (channel, text string) {
	channel = in[c.r.IntN(len(in))]
	if c.r.IntN(3) == 0 && slices.Contains(in, c.victim) {
		channel = c.victim
	}
	c.n++
	return channel, fmt.Sprintf("%s %d: %s", c.nick, c.n, phrases[c.r.IntN(len(phrases))])
}
