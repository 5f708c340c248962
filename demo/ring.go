package demo

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Place is where a node stands on its ring, as it says itself, by IDs.
type Place struct {
	ID                     string
	Predecessor, Successor string // "": none
}

// Keeping is who keeps a channel, by IDs.
type Keeping struct {
	Keeper   string
	Replicas []string
}

// ring are all nodes, and the questions to them.
type ring struct {
	nodes  []*node // by number, from 1
	place  func(ctx context.Context, dataDir string) (Place, error)
	keeper func(ctx context.Context, dataDir, channel string) (Keeping, error)
}

// askTime is for one question to one node.
const askTime = 2 * time.Second

// some are the nodes of these numbers.
func (r *ring) some(numbers []int) (list []*node) {
	for _, n := range numbers {
		list = append(list, r.nodes[n-1])
	}
	return list
}

// inOrder are nodes as they follow each other on a ring, from the first one of
// the list on.
func inOrder(nodes []*node) []*node {
	list := slices.Clone(nodes)
	slices.SortFunc(list, func(a, b *node) int { return strings.Compare(a.ready().ID, b.ready().ID) })
	i := slices.Index(list, nodes[0])
	return slices.Concat(list[i:], list[:i])
}

// closed reports whether nodes are one ring, and they alone: each has the one
// before it as predecessor and the one behind it as successor.
func (r *ring) closed(ctx context.Context, nodes []*node) bool {
	list := inOrder(nodes)
	for i, n := range list {
		ctx, cancel := context.WithTimeout(ctx, askTime)
		p, err := r.place(ctx, n.dir)
		cancel()
		before, behind := list[(i+len(list)-1)%len(list)].ready().ID, list[(i+1)%len(list)].ready().ID
		if len(list) == 1 {
			before, behind = "", ""
		}
		if err != nil || p.Predecessor != before || p.Successor != behind {
			return false
		}
	}
	return true
}

// keeps asks a node who keeps a channel; nil: it does not know now.
func (r *ring) keeps(ctx context.Context, asked *node, channel string) (keeper *node, replicas []*node) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	k, err := r.keeper(ctx, asked.dir, channel)
	if err != nil {
		return nil, nil
	}
	for _, id := range k.Replicas {
		if n := r.byID(id); n != nil {
			replicas = append(replicas, n)
		}
	}
	return r.byID(k.Keeper), replicas
}

func (r *ring) byID(id string) *node {
	for _, n := range r.nodes {
		if n.ready().ID == id {
			return n
		}
	}
	return nil
}

// start starts nodes, all at once.
func (r *ring) start(ctx context.Context, nodes []*node, join ...string) error {
	return each(nodes, func(n *node) error { return n.start(ctx, join...) })
}

// killAll kills nodes, all at once, and returns when they are gone.
func (r *ring) killAll(nodes []*node) {
	var gone []*process
	for _, n := range nodes {
		gone = append(gone, n.kill())
	}
	for _, p := range gone {
		p.wait()
	}
}

// split cuts the network between two groups of nodes.
func (r *ring) split(ctx context.Context, near, far []*node) error {
	return each(slices.Concat(near, far), func(n *node) error {
		if slices.Contains(near, n) {
			return n.sever(ctx, far)
		}
		return n.sever(ctx, near)
	})
}

// mend makes the network whole again.
func (r *ring) mend(ctx context.Context) error {
	return each(r.nodes, func(n *node) error { return n.sever(ctx, nil) })
}

// each does something with all nodes at once, and returns the first error by
// their order.
func each(nodes []*node, f func(*node) error) error {
	errs := make([]error, len(nodes))
	var all sync.WaitGroup
	for i, n := range nodes {
		all.Go(func() { errs[i] = f(n) })
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// path shows a ring: 1 → 4 → 2 → 1.
func path(nodes []*node) string {
	var text strings.Builder
	list := inOrder(nodes)
	for _, n := range list {
		fmt.Fprintf(&text, "%d → ", n.number)
	}
	return text.String() + strconv.Itoa(list[0].number)
}

// numbersOf are the numbers of nodes, in order.
func numbersOf(nodes []*node) (list []int) {
	for _, n := range nodes {
		list = append(list, n.number)
	}
	slices.Sort(list)
	return list
}
