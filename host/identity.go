package host

import (
	"crypto/ed25519"
	"errors"
	"fmt"

	"github.com/mr-tron/base58"
)

// PeerID is a node's identity: the 38 bytes of a libp2p peer ID of an Ed25519
// key, which contain the public key itself (libp2p peer ID specification,
// "identity" multihash). It is a string so that it can be a map key; String
// gives the text form.
type PeerID string

// The identity multihash (0x00, length 36) of the protobuf-encoded public key
// (type Ed25519, 32 bytes of data).
const peerIDPrefix = "\x00\x24\x08\x01\x12\x20"

// ErrBadPeerID: the bytes or the text are no peer ID of an Ed25519 key.
var ErrBadPeerID = errors.New("bad peer ID")

// PeerIDFromKey is the peer ID of a public key.
func PeerIDFromKey(key ed25519.PublicKey) PeerID {
	return PeerID(peerIDPrefix + string(key))
}

// ParsePeerID reads the text form (12D3Koo…).
func ParsePeerID(text string) (PeerID, error) {
	raw, err := base58.Decode(text)
	if err != nil {
		return "", fmt.Errorf("%w: %q", ErrBadPeerID, text)
	}
	id := PeerID(raw)
	if !id.Valid() {
		return "", fmt.Errorf("%w: %q", ErrBadPeerID, text)
	}
	return id, nil
}

// Valid reports whether id has the form of a peer ID of an Ed25519 key.
func (id PeerID) Valid() bool {
	return len(id) == len(peerIDPrefix)+ed25519.PublicKeySize && id[:len(peerIDPrefix)] == peerIDPrefix
}

// String is the text form, 12D3Koo….
func (id PeerID) String() string { return base58.Encode([]byte(id)) }

// Verify reports whether sig is id's signature of msg.
func (id PeerID) Verify(msg, sig []byte) bool {
	return id.Valid() && len(sig) == ed25519.SignatureSize &&
		ed25519.Verify(ed25519.PublicKey(id[len(peerIDPrefix):]), msg, sig)
}
