package mapping

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"ircbridge/chat"
	"ircbridge/mapping/wire"
	"ircbridge/overlay"
)

// claim is a signed claim of a nickname. The signature shows that the node
// made it, for this run and session; age and person are not signed.
type claim struct {
	nick      string // as written
	owner     overlay.Stream
	number    uint64 // in its owner's stream to the name
	signature []byte
	person    person
	birth     birth // given by the keeper; what a restarted node takes back keeps its age
	stamp     overlay.Stamp
}

// claims are those of several sessions, one of each, in the order of their owners. Most names have one.
type claims []*claim

func (l claims) place(owner overlay.Stream) (i int, ok bool) {
	return slices.BinarySearchFunc(l, owner, func(c *claim, owner overlay.Stream) int { return c.owner.Compare(owner) })
}

// of is a session's claim, or nil.
func (l claims) of(owner overlay.Stream) *claim {
	if i, ok := l.place(owner); ok {
		return l[i]
	}
	return nil
}

// put takes a claim in, in the place of its owner's.
func (l *claims) put(c *claim) {
	if i, ok := l.place(c.owner); ok {
		(*l)[i] = c
	} else {
		*l = slices.Insert(*l, i, c)
	}
}

func (l *claims) drop(owner overlay.Stream) {
	if i, ok := l.place(owner); ok {
		*l = slices.Delete(*l, i, i+1)
	}
}

// claimBytes is what a claim's signature is of.
func claimBytes(nick string, owner overlay.Stream, number uint64) []byte {
	b := append([]byte("ircbridge/1 claim\x00"), owner.Node...)
	b = binary.BigEndian.AppendUint64(b, owner.Run)
	b = binary.BigEndian.AppendUint64(b, owner.Session)
	b = binary.BigEndian.AppendUint64(b, number)
	return append(b, nick...)
}

// check verifies a claim of the name.
func (c *claim) check(name string) error {
	switch {
	case !chat.ValidNick(c.nick) || chat.Fold(c.nick) != name:
		return fmt.Errorf("%w: claim of %q under the name %q", errWire, chat.Cut(c.nick, 60), chat.Cut(name, 60))
	case !c.owner.Node.Verify(claimBytes(c.nick, c.owner, c.number), c.signature):
		return fmt.Errorf("%w: claim of %s with a wrong signature", errWire, c.nick)
	}
	return nil
}

// senior reports whether c is older than d: the one that counts when two
// nodes claim one nick (docs/objects.md, "Nicknames").
func (c *claim) senior(d *claim) bool {
	return cmp.Or(c.birth.compare(d.birth), c.owner.Compare(d.owner)) < 0
}

// newer reports whether c replaces d, a claim of the same node: within one
// session by its number, else by when it was made.
func (c *claim) newer(d *claim) bool {
	if c.owner == d.owner && c.number != d.number {
		return c.number > d.number
	}
	return cmp.Or(c.stamp.Compare(d.stamp), c.owner.Compare(d.owner),
		cmp.Compare(c.nick, d.nick), -c.birth.compare(d.birth)) > 0
}

// unite is what two copies of one session's claims come to: the newer, and, if
// it is one claim, the later version of the person.
func (c *claim) unite(d *claim) *claim {
	last := *c
	if d.newer(c) {
		last = *d
	}
	if c.number == d.number {
		last.learn(c.person)
		last.learn(d.person)
	}
	return &last
}

// learn takes what is new of the person. The nick stays that of the claim.
func (c *claim) learn(p person) {
	p.nick = c.nick
	c.person = newer(c.person, p)
}

func (c *claim) toWire(t *tables) *wire.Claim {
	w := &wire.Claim{
		Nick: []byte(c.nick), Owner: sessionToWire(c.owner), Number: c.number, Signature: c.signature,
		Person: personToWire(c.person), Birth: birthToWire(c.birth),
	}
	if t != nil {
		w.Stamp = t.stamp(c.stamp)
	}
	return w
}

// claimFromWire reads a claim of the name and verifies it.
func claimFromWire(w *wire.Claim, name string, r *reader) (*claim, error) {
	owner, err := sessionFromWire(w.GetOwner())
	if err != nil {
		return nil, err
	}
	p, err := personFromWire(w.GetPerson())
	if err != nil {
		return nil, err
	}
	c := &claim{
		nick: string(w.GetNick()), owner: owner, number: w.GetNumber(), signature: w.GetSignature(),
		person: p, birth: birthFromWire(w.GetBirth()),
	}
	if r != nil {
		c.stamp = r.stamp(w.GetStamp())
		if r.err != nil {
			return nil, r.err
		}
	}
	c.person.nick = c.nick
	return c, c.check(name)
}
