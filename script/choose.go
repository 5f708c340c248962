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

// chooseStep finds a name whose key belongs to a given node: among those that
// run, and this one if it does not. With then, the name must belong to that
// one once the first has gone.
type chooseStep struct {
	kind string // channel or nick
	name string
	by   string
	then string
}

func (a *chooseStep) play(_ context.Context, p *play, s *step) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	ring, err := p.ringLocked(a.by)
	if err != nil {
		return err
	}
	if a.then != "" && (len(ring) < 2 || !p.nodes[a.then].runningLocked()) {
		return fmt.Errorf("%s must run to keep it next", a.then)
	}
	for i := range chooseTries {
		name := fmt.Sprintf("%s%dx%d", strings.ToLower(a.name), s.line, i)
		if a.kind == "channel" {
			name = "#" + name
		}
		key := keyOf(a.kind, name)
		if successor(ring, key) != p.nodes[a.by].id {
			continue
		}
		if a.then != "" {
			rest := slices.DeleteFunc(slices.Clone(ring), func(id string) bool { return id == p.nodes[a.by].id })
			if successor(rest, key) != p.nodes[a.then].id {
				continue
			}
		}
		p.vars[a.name] = name
		p.logf("%s is %s, key %x", a.name, name, key)
		return nil
	}
	return fmt.Errorf("no %s of %d tried has its key on %s", a.kind, chooseTries, a.by)
}

// ringLocked are the IDs of the nodes that run and of one more, sorted.
func (p *play) ringLocked(with string) ([]string, error) {
	var ids []string
	for _, n := range p.nodes {
		if n.name != with && !n.runningLocked() || n.alone {
			continue
		}
		if len(n.id) != 40 {
			return nil, fmt.Errorf("the ID of %s is not known; it must have run once", n.name)
		}
		ids = append(ids, n.id)
	}
	slices.Sort(ids)
	return ids, nil
}

// keyOf is the key of a name as docs/protocol.md defines it: the first 20
// bytes of SHA-256("ircbridge/1" 0x00 kind 0x00 folded name). Names made here are in
// lower case, which is their folded form.
func keyOf(kind, name string) []byte {
	sum := sha256.Sum256([]byte("ircbridge/1\x00" + kind + "\x00" + name))
	return sum[:20]
}

// successor is the first ID at or after a key, around the ring; ids are sorted
// hexadecimal.
func successor(ids []string, key []byte) string {
	for _, id := range ids {
		b, err := hex.DecodeString(id)
		if err == nil && bytes.Compare(b, key) >= 0 {
			return id
		}
	}
	return ids[0]
}
