package bridge

import (
	"time"

	"ircbridge/chord"
	"ircbridge/host"
)

// PeerStatus is a node with an open connection.
type PeerStatus struct {
	ID        string    `json:"id"` // on the ring
	Peer      string    `json:"peer"`
	Address   string    `json:"address"`   // HOST:PORT of the connection
	Transport string    `json:"transport"` // tcp or quic
	Inbound   bool      `json:"inbound"`   // the peer dialled
	Since     time.Time `json:"since"`
	Idle      float64   `json:"idle_s"` // seconds since anything passed
	Kept      bool      `json:"kept"`   // never closed for want of use
	Program   string    `json:"program"`
	RoundTrip float64   `json:"rtt_ms,omitempty"` // as in Neighbour
}

// TryingStatus is what a node tries to reach, and what came of it.
type TryingStatus struct {
	// Join are the addresses that the node was told to join through.
	Join []JoinStatus `json:"join"`
	// Dialling are the connections that are being made.
	Dialling []DialStatus `json:"dialling"`
	// Failed is the last error of each node or address that was lately tried.
	Failed []FailedDial `json:"failed"`
}

// JoinStatus is an address to join through. State is "waiting" (for the next
// try, at Next), "dialling", "joined" (the node came into its ring through it),
// or "answers" (it was reached, and the ring knows of it).
type JoinStatus struct {
	Address string    `json:"address"`
	State   string    `json:"state"`
	Error   string    `json:"error,omitempty"` // of the last try
	Next    time.Time `json:"next,omitzero"`
}

// DialStatus is a connection that is being made.
type DialStatus struct {
	ID      string    `json:"id,omitempty"` // on the ring, where it is known
	Peer    string    `json:"peer,omitempty"`
	Address string    `json:"address,omitempty"`
	Since   time.Time `json:"since"`
}

// FailedDial is an error of a node or address that was lately tried.
type FailedDial struct {
	ID      string    `json:"id,omitempty"` // on the ring, where it is known
	Peer    string    `json:"peer,omitempty"`
	Address string    `json:"address,omitempty"`
	Error   string    `json:"error"`
	At      time.Time `json:"at"`
}

// peersStatus are the nodes with an open connection.
func (p *parts) peersStatus() []PeerStatus {
	list := []PeerStatus{}
	for _, c := range p.host.Connections() {
		list = append(list, PeerStatus{
			ID: nodeOf(c.Peer), Peer: peerText(c.Peer), Address: c.Addr, Transport: c.Transport, Inbound: c.Inbound,
			Since: c.Since, Idle: c.Idle.Seconds(), Kept: c.Kept, Program: c.Version, RoundTrip: p.roundTrip(c.Peer),
		})
	}
	return list
}

// tryingStatus is what the node tries to reach.
func (p *parts) tryingStatus() TryingStatus {
	s := TryingStatus{Join: p.joiner.state.read(), Dialling: []DialStatus{}, Failed: []FailedDial{}}
	for _, a := range p.host.Dialling() {
		s.Dialling = append(s.Dialling, DialStatus{ID: nodeOf(a.Peer), Peer: peerText(a.Peer), Address: a.Addr, Since: a.Since})
	}
	for _, f := range p.host.Failures() {
		s.Failed = append(s.Failed, FailedDial{ID: nodeOf(f.Peer), Peer: peerText(f.Peer), Address: f.Addr, Error: f.Err, At: f.At})
	}
	return s
}

// nodeOf is the node ID of a peer, "" for no peer.
func nodeOf(id host.PeerID) string {
	if id == "" {
		return ""
	}
	return chord.NodeID(id).String()
}

// peerText is the text form of a peer ID, "" for no peer.
func peerText(id host.PeerID) string {
	if id == "" {
		return ""
	}
	return id.String()
}
