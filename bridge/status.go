package bridge

import (
	"runtime"
	"runtime/metrics"
	"time"

	"ircbridge/chord"
	"ircbridge/host"
)

// Status is what a running node says of itself; `ircbridge status -json` prints
// it. docs/control.md describes its fields, whose names stay.
type Status struct {
	Node  NodeStatus  `json:"node"`
	Ring  RingStatus  `json:"ring"`
	Keeps KeepsStatus `json:"keeps"`
	// Database is what of it is on the disk.
	Database DatabaseStatus `json:"database"`
	Users    UsersStatus    `json:"users"`
	// Peers are the nodes with an open connection, in the order of their
	// peer IDs.
	Peers []PeerStatus `json:"peers"`
	// Trying is what the node tries to reach.
	Trying TryingStatus `json:"trying"`
}

// NodeStatus is who the node is.
type NodeStatus struct {
	ID        string    `json:"id"`        // on the ring, 40 hexadecimal digits
	Peer      string    `json:"peer"`      // libp2p peer ID
	Overlay   string    `json:"overlay"`   // name
	Addresses []string  `json:"addresses"` // where other nodes reach it, HOST:PORT
	DataDir   string    `json:"data_dir"`  // absolute
	Version   string    `json:"version"`
	Go        string    `json:"go"`           // version that the program was built with
	System    string    `json:"system"`       // operating system/architecture
	Started   time.Time `json:"started"`      // of this run
	Now       time.Time `json:"now"`          // when the rest was looked up
	Memory    uint64    `json:"memory_bytes"` // that the Go runtime holds
	Tasks     int       `json:"goroutines"`
}

// RingStatus is the node's place on the ring.
type RingStatus struct {
	Member bool `json:"member"` // of a ring
	Alone  bool `json:"alone"`  // and it is the only one
	// Predecessor is absent when alone, and while it is not known.
	Predecessor *Neighbour `json:"predecessor,omitempty"`
	// Successors follow this node on the ring, the nearest first.
	Successors []Neighbour `json:"successors"`
	// Table is the ring's table of contacts, of which lookups live.
	Table TableStatus `json:"table"`
}

// TableStatus is the table of contacts.
type TableStatus struct {
	Contacts int     `json:"contacts"`         // other members in it
	Traffic  float64 `json:"bytes_per_second"` // that it costs now
	Budget   int     `json:"budget"`           // bytes a second that it may cost
}

// Neighbour is another node, as the ring knows it.
type Neighbour struct {
	ID        string   `json:"id"`
	Peer      string   `json:"peer"`
	Addresses []string `json:"addresses"`
	// RoundTrip in milliseconds, smoothed; 0 when it was not measured.
	RoundTrip float64 `json:"rtt_ms,omitempty"`
}

// KeepsStatus counts the objects that this node keeps.
type KeepsStatus struct {
	Names    int `json:"names"`
	Channels int `json:"channels"`
	Others   int `json:"others"` // parts of the list of channels
	Copies   int `json:"copies"` // of objects that other nodes keep
	// OnNodes is how many nodes hold each object, as configured.
	OnNodes int `json:"on_nodes"`
}

// DatabaseStatus is how the node's database is.
type DatabaseStatus struct {
	Path    string `json:"path"`
	Layout  int    `json:"layout"`        // version of the file's layout
	Records int    `json:"records"`       // that a crash leaves
	Bytes   int64  `json:"bytes"`         // of their keys and values
	File    int64  `json:"file_bytes"`    // size of the file
	Waiting int    `json:"waiting_bytes"` // not yet committed
	// Committed is when the disk last had everything; absent before the first commit.
	Committed *time.Time `json:"committed,omitempty"`
	// Error is why the disk takes nothing; absent when it does.
	Error string     `json:"error,omitempty"`
	Since *time.Time `json:"error_since,omitempty"`
	// Damaged are files that were moved aside, the oldest first.
	Damaged []string `json:"damaged"`
}

// UsersStatus counts people, as LUSERS does: those of the whole overlay as they
// were counted last.
type UsersStatus struct {
	Here int `json:"here"` // on this node
	// Sessions are those on this node, by the front-end that let them in.
	Sessions map[string]int `json:"sessions"`
	Users    int            `json:"users"` // on all nodes
	Channels int            `json:"channels"`
	Nodes    int            `json:"nodes"`
}

// status describes the node as it is now.
func (n *Node) status(p *parts) Status {
	self := p.ring.Self()
	counts := p.service.Counts()
	s := Status{
		Node: NodeStatus{
			ID: self.ID.String(), Peer: self.Peer.ID.String(), Overlay: n.cfg.Overlay.Name,
			Addresses: hostPorts(self.Peer.Addrs), DataDir: p.dir.path,
			Version: n.env.Version, Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH,
			Started: p.service.Node().Started, Now: p.host.Now(), Memory: memoryHeld(), Tasks: runtime.NumGoroutine(),
		},
		Ring: p.ringStatus(),
		Users: UsersStatus{
			Here: counts.LocalUsers, Users: counts.KnownUsers, Channels: counts.KnownChannels, Nodes: counts.KnownNodes,
			Sessions: p.sessions(),
		},
		Keeps:    p.keepsStatus(),
		Database: p.databaseStatus(),
		Peers:    p.peersStatus(),
		Trying:   p.tryingStatus(),
	}
	s.Keeps.OnNodes = n.cfg.Overlay.Copies
	return s
}

func (p *parts) ringStatus() RingStatus {
	s := RingStatus{
		Member: p.ring.Member(), Alone: p.ring.Alone(), Successors: []Neighbour{},
	}
	table := p.ring.Table()
	s.Table = TableStatus{Contacts: table.Contacts, Traffic: table.BytesPerSecond, Budget: table.Budget}
	if c, ok := p.ring.Predecessor(); ok {
		pred := p.neighbour(c)
		s.Predecessor = &pred
	}
	for _, c := range p.ring.Successors() {
		s.Successors = append(s.Successors, p.neighbour(c))
	}
	return s
}

func (p *parts) neighbour(c chord.Contact) Neighbour {
	return Neighbour{
		ID: c.ID.String(), Peer: c.Peer.ID.String(), Addresses: hostPorts(c.Peer.Addrs), RoundTrip: p.roundTrip(c.Peer.ID),
	}
}

// The kinds of objects that have a line of their own, and the others.
const (
	kindNick    = "nick"
	kindChannel = "channel"
)

var otherKinds = []string{"directory"}

func (p *parts) keepsStatus() KeepsStatus {
	s := KeepsStatus{Copies: p.overlay.Copies()}
	s.Names, s.Channels = p.service.Keeps()
	for _, kind := range otherKinds {
		s.Others += len(p.overlay.Kept(kind))
	}
	return s
}

func (p *parts) databaseStatus() DatabaseStatus {
	st := p.host.Database()
	d := DatabaseStatus{
		Path: st.Path, Layout: st.Layout, Records: st.Records, Bytes: st.Bytes, File: st.File, Waiting: st.Waiting, Damaged: []string{},
	}
	d.Damaged = append(d.Damaged, st.Aside...)
	if !st.Committed.IsZero() {
		d.Committed = &st.Committed
	}
	if st.Err != nil {
		d.Error, d.Since = oneLine(st.Err.Error()), &st.Since
	}
	return d
}

// sessions are the open ones of each front-end.
func (p *parts) sessions() map[string]int {
	open := map[string]int{}
	for _, f := range p.fronts {
		open[f.name] = int(f.service.open.Load())
	}
	return open
}

// memoryHeld is the memory that the Go runtime has from the system, without
// what it has given back.
func memoryHeld() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64() - sample[1].Value.Uint64()
}

// roundTrip is the smoothed round trip to a peer in milliseconds, 0 when it
// was not measured.
func (p *parts) roundTrip(id host.PeerID) float64 {
	d, _ := p.ring.RTT(id)
	return ms(d)
}

// ms is a duration in milliseconds.
func ms(d time.Duration) float64 {
	return float64(d.Round(time.Microsecond)) / float64(time.Millisecond)
}
