package mapping

import (
	"crypto/sha256"
	"encoding/binary"

	"ircbridge/chat"
	"ircbridge/mapping/wire"
)

// digest is a short sum of what users can see of a channel. What views may
// know earlier than their keeper (a member's new nick), and what is only
// remembered, is not in it.
func (s *state) digest() uint64 { return s.digestOf(chat.EveryStatus) }

// digestOf is the digest as by a node that knows these statuses only.
func (s *state) digestOf(known chat.Status) uint64 {
	w := &wire.ChannelState{Birth: birthToWire(s.birth), Name: []byte(s.shown())}
	for _, k := range s.sessions() {
		m := s.members[k]
		w.Nodes = append(w.Nodes, &wire.Node{Id: []byte(k.Node), Run: k.Run})
		w.Members = append(w.Members, &wire.Member{Session: k.Session, Join: m.join, Status: uint32(m.status & known)})
	}
	w.Topic = &wire.Topic{Text: []byte(s.topic.text), By: []byte(s.topic.by)}
	for _, k := range sortedKeys(s.modes) {
		if m := s.modes[k]; m.on {
			w.Modes = append(w.Modes, &wire.Mode{Letter: uint32(k), Key: []byte(m.key), Limit: uint32(m.limit)})
		}
	}
	shown := func(letter byte) (ws []*wire.Ban) {
		for _, e := range s.lists.of(letter).inForce() {
			ws = append(ws, &wire.Ban{Mask: []byte(e.mask), By: []byte(e.by)})
		}
		return ws
	}
	w.Bans, w.Excepts, w.Invexes = shown('b'), shown('e'), shown('I')
	for _, x := range s.meta.chat().Items() {
		w.Meta = append(w.Meta, &wire.MetaItem{Key: []byte(x.Key), Value: []byte(x.Value)})
	}
	sum := sha256.Sum256(encode(w))
	return binary.BigEndian.Uint64(sum[:8])
}
