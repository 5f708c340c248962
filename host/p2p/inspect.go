package p2p

import (
	"cmp"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"ircbridge/host"
)

// Connection is a link to a peer, as a person wants to see it.
type Connection struct {
	Peer      host.PeerID
	Addr      string        // the peer's end, HOST:PORT
	Transport string        // "tcp" or "quic"
	Inbound   bool          // the peer dialled
	Since     time.Time     // when the connection was made
	Idle      time.Duration // since a request, a reply or a message last passed
	Kept      bool          // see Host.Keep
	Version   string        // the peer's program, as it names itself
}

// Attempt is a dial that is under way.
type Attempt struct {
	Peer  host.PeerID // "" while it is not known who will answer
	Addr  string      // the first of the addresses that are tried; "" when only remembered ones are
	Since time.Time
}

// Failure is why a peer, or an address that a person typed, was not reached
// when it was last tried.
type Failure struct {
	Peer host.PeerID // "" when nobody answered and nobody was expected
	Addr string      // as in Attempt
	Err  string      // one line
	At   time.Time
}

// Connections are the links that stand, in the order of peer IDs.
func (h *Host) Connections() []Connection {
	h.mu.Lock()
	links := h.linksLocked()
	kept := make(map[host.PeerID]bool, len(h.kept))
	for id := range h.kept {
		kept[id] = true
	}
	h.mu.Unlock()
	list := make([]Connection, 0, len(links))
	for _, l := range links {
		c := l.conn()
		if c == nil {
			continue // the link is just being made
		}
		idle := time.Since(time.Unix(0, l.used.Load()))
		addr, transport := readable(c.RemoteMultiaddr())
		list = append(list, Connection{
			Peer: l.peer.ID, Addr: addr, Transport: transport,
			Inbound: c.Stat().Direction == network.DirInbound, Since: c.Stat().Opened,
			Idle: max(0, idle), Kept: kept[l.peer.ID], Version: l.hello.GetProgram(),
		})
	}
	slices.SortFunc(list, func(a, b Connection) int { return cmp.Compare(a.Peer, b.Peer) })
	return list
}

// conn is the connection under the link's requests; nil: the link has none yet.
func (l *link) conn() network.Conn {
	l.requests.mu.Lock()
	defer l.requests.mu.Unlock()
	if l.requests.stream == nil {
		return nil
	}
	return l.requests.stream.Conn()
}

// readable is an address as HOST:PORT, and its transport; what has another
// form stays as it is.
func readable(a ma.Multiaddr) (addr, transport string) {
	transport = "quic"
	if isTCP(a) {
		transport = "tcp"
	}
	if len(a) > 2 {
		a = a[:2] // without what stands above UDP
	}
	if _, text, err := manet.DialArgs(a); err == nil {
		return text, transport
	}
	return a.String(), transport
}

// readableText is readable for an address in text, as a person or a peer gave it.
func readableText(text string) string {
	if a, err := ma.NewMultiaddr(text); err == nil {
		text, _ = readable(a)
	}
	return cleanText(text, 200)
}

// Dialling are the dials under way, the longest first.
func (h *Host) Dialling() []Attempt {
	var list []Attempt
	h.mu.Lock()
	for id, p := range h.peers {
		if p.attempt != nil {
			list = append(list, Attempt{Peer: id, Addr: p.attempt.addr, Since: p.attempt.since})
		}
	}
	for a := range h.asking {
		list = append(list, *a)
	}
	h.mu.Unlock()
	slices.SortFunc(list, func(a, b Attempt) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Peer, b.Peer), cmp.Compare(a.Addr, b.Addr))
	})
	return list
}

// ask notes that a dial asks who is at an address, until the function returned is called.
func (h *Host) ask(text string) (answered func()) {
	a := &Attempt{Addr: readableText(text), Since: time.Now()}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asking[a] = struct{}{}
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.asking, a)
	}
}

// Failures are the last failed dials, one for each peer or address, the
// latest first. One that was reached since is not among them.
func (h *Host) Failures() []Failure {
	f := &h.failed
	f.mu.Lock()
	defer f.mu.Unlock()
	list := slices.Clone(f.list)
	slices.Reverse(list)
	return list
}

// failedDials keeps the last failures, the oldest first.
type failedDials struct {
	mu   sync.Mutex
	list []Failure
}

const maxFailures = 64

// add notes a failure in the place of an older one of the same peer, or of
// the same address where nobody is known.
func (f *failedDials) add(id host.PeerID, addr string, err error) {
	if errors.Is(err, host.ErrStopped) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.removeLocked(id, addr)
	if len(f.list) == maxFailures {
		f.list = slices.Delete(f.list, 0, 1)
	}
	f.list = append(f.list, Failure{Peer: id, Addr: addr, Err: oneLine(err), At: time.Now()})
}

// remove forgets what failed before the peer, or the address, was reached.
func (f *failedDials) remove(id host.PeerID, addr string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.removeLocked(id, addr)
}

func (f *failedDials) removeLocked(id host.PeerID, addr string) {
	f.list = slices.DeleteFunc(f.list, func(old Failure) bool {
		return old.Peer == id && (id != "" || old.Addr == addr)
	})
}
