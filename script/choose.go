package script

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// chooseTries bounds the search for a name. The share of the ring that one node
// of seven has is rarely under a thousandth.
const chooseTries = 200_000

// chooseStep finds a name by the place of its key on the ring: kept by a given
// node, among those that run (and this one if it does not), or kept outside of some
// nodes, now and when the keeper has gone. NAME becomes the name,
// NAME.keeper and NAME.next the nodes that keep it, now and then.
type chooseStep struct {
	kind    string // channel or nick
	name    string
	by      string
	outside []string
}

func (a *chooseStep) play(_ context.Context, p *play, s *step) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	ring, err := p.ringLocked(a.by)
	if err != nil {
		return err
	}
	for i := range chooseTries {
		name := fmt.Sprintf("%s%dx%d", strings.ToLower(a.name), s.line, i)
		if a.kind == "channel" {
			name = "#" + name
		}
		key := keyOf(a.kind, name)
		keeper := successor(ring, key)
		next := keeper
		if rest := slices.DeleteFunc(slices.Clone(ring), func(n *node) bool { return n == keeper }); len(rest) > 0 {
			next = successor(rest, key)
		}
		if !a.fits(keeper, next) {
			continue
		}
		p.vars[a.name], p.vars[a.name+".keeper"], p.vars[a.name+".next"] = name, keeper.name, next.name
		p.logf("%s is %s, key %x, kept by %s, then by %s", a.name, name, key, keeper.name, next.name)
		return nil
	}
	return fmt.Errorf("no %s of %d tried has its key there", a.kind, chooseTries)
}

func (a *chooseStep) fits(keeper, next *node) bool {
	if a.by != "" {
		return keeper.name == a.by
	}
	return !slices.Contains(a.outside, keeper.name) && !slices.Contains(a.outside, next.name)
}

// ringLocked are the nodes that run, and one more, in the order of their IDs.
func (p *play) ringLocked(with string) ([]*node, error) {
	var ring []*node
	for _, n := range p.nodes {
		if n.name != with && !n.runningLocked() || n.alone {
			continue
		}
		if len(n.id) != 40 {
			return nil, fmt.Errorf("the ID of %s is not known; it must have run once", n.name)
		}
		ring = append(ring, n)
	}
	if len(ring) == 0 {
		return nil, fmt.Errorf("no node runs")
	}
	slices.SortFunc(ring, func(a, b *node) int { return strings.Compare(a.id, b.id) })
	return ring, nil
}

// keyOf is the key of a name as docs/protocol.md defines it: the first 20
// bytes of SHA-256("ircbridge/1" 0x00 kind 0x00 folded name). Names made here are in
// lower case, which is their folded form.
func keyOf(kind, name string) []byte {
	sum := sha256.Sum256([]byte("ircbridge/1\x00" + kind + "\x00" + name))
	return sum[:20]
}

// successor is the first node at or after a key, around the ring.
func successor(ring []*node, key []byte) *node {
	for _, n := range ring {
		b, err := hex.DecodeString(n.id)
		if err == nil && bytes.Compare(b, key) >= 0 {
			return n
		}
	}
	return ring[0]
}
