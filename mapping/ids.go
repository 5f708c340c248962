package mapping

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"strings"

	"ircbridge/chat"
	"ircbridge/host"
	"ircbridge/overlay"
)

// The kinds of objects (docs/protocol.md, "Identifiers").
const (
	kindNick      = "nick"
	kindChannel   = "channel"
	kindDirectory = "directory"
)

// nodeID is a node's ID on the ring, as package chord computes it.
func nodeID(node host.PeerID) [20]byte {
	sum := sha256.Sum256([]byte(node))
	return [20]byte(sum[:20])
}

// VisibleHost is the host under which the users of a node are seen, and its
// default server name. It shows no address: 12 digits of the node's ID.
func VisibleHost(node host.PeerID) string {
	id := nodeID(node)
	return hex.EncodeToString(id[:6]) + ".node.ircbridge"
}

// sessionID is the contract's name of a session.
func sessionID(s overlay.Stream) chat.SessionID {
	b := make([]byte, 0, len(s.Node)+16)
	b = append(b, s.Node...)
	b = binary.BigEndian.AppendUint64(b, s.Run)
	b = binary.BigEndian.AppendUint64(b, s.Session)
	return chat.SessionID(b)
}

var idEncoding = base32.StdEncoding.WithPadding(base32.NoPadding)

// messageID names a message: the same on every node, and on a repeat. It is
// the first 10 bytes, in base32, of SHA-256 over "ircbridge/1 message" 0x00,
// the sender's node, run, session, the request's number (8 bytes each, big
// endian), and the key of what it was sent to.
func messageID(from overlay.Stream, number uint64, key [20]byte) string {
	b := append([]byte("ircbridge/1 message\x00"), from.Node...)
	b = binary.BigEndian.AppendUint64(b, from.Run)
	b = binary.BigEndian.AppendUint64(b, from.Session)
	b = binary.BigEndian.AppendUint64(b, number)
	sum := sha256.Sum256(append(b, key[:]...))
	return strings.ToLower(idEncoding.EncodeToString(sum[:10]))
}
