package bridge

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"ircbridge/bridge/wire"
	"ircbridge/host"
	"ircbridge/host/p2p"
)

// methodDialBack asks a node to dial back (docs/protocol.md).
var methodDialBack = host.Method{Number: 32, Name: "bridge dial back"}

// Of being dialled back.
const (
	dialBackTime  = 3 * time.Second // for the other node to reach this one
	askBackTime   = 5 * time.Second // for its answer
	maxDialBacks  = 4               // at a time, for others
	maxDialBackBy = 6               // nodes that are asked
)

// reacher lets nodes find out from each other where they can be reached.
type reacher struct {
	p     *parts
	slots chan struct{} // one for each dial for others
}

// newReacher registers the answer to others. It is called before the host
// starts.
func newReacher(p *parts) *reacher {
	r := &reacher{p: p, slots: make(chan struct{}, maxDialBacks)}
	p.host.HandleCall(methodDialBack, r.handle)
	return r
}

// handle dials whoever asks. Only the port is his choice: nobody can have a
// third one dialled.
func (r *reacher) handle(from host.Peer, raw []byte) ([]byte, error) {
	var q wire.DialBack
	if err := proto.Unmarshal(raw, &q); err != nil {
		return nil, err
	}
	if q.Port == 0 || q.Port > 65535 {
		return nil, fmt.Errorf("port %d", q.Port)
	}
	seen, ok := r.seen(from.ID)
	if !ok {
		return nil, host.ErrUnreachable
	}
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	default:
		return nil, host.ErrBusy
	}
	got, err := r.p.host.Dial(netip.AddrPortFrom(seen, uint16(q.Port)).String(), dialBackTime)
	return proto.Marshal(&wire.DialBackReply{Seen: seen.AsSlice(), Reached: err == nil && got.ID == from.ID})
}

// seen is the IP address of a peer as its open connection has it.
func (r *reacher) seen(id host.PeerID) (netip.Addr, bool) {
	for _, c := range r.p.host.Connections() {
		if c.Peer == id {
			a, err := netip.ParseAddrPort(c.Addr)
			return a.Addr().Unmap().WithZone(""), err == nil
		}
	}
	return netip.Addr{}, false
}

// reach is what other nodes found out about one address of this node.
type reach struct {
	asked   int // nodes that dialled it
	reached int // those that this node answered
}

// ask has this node dialled by some others, at each of its ports.
func (r *reacher) ask(ports []uint16) map[netip.AddrPort]reach {
	var mu sync.Mutex
	found := map[netip.AddrPort]reach{}
	var asking sync.WaitGroup
	for _, peer := range r.askable() {
		for _, port := range ports {
			asking.Go(func() {
				at, reached, err := r.askOne(peer, port)
				if err != nil {
					return
				}
				mu.Lock()
				defer mu.Unlock()
				one := found[at]
				one.asked++
				if reached {
					one.reached++
				}
				found[at] = one
			})
		}
	}
	asking.Wait()
	return found
}

func (r *reacher) askOne(peer host.PeerID, port uint16) (at netip.AddrPort, reached bool, err error) {
	raw, err := proto.Marshal(&wire.DialBack{Port: uint32(port)})
	if err != nil {
		return at, false, err
	}
	if raw, err = r.p.host.Call(host.Peer{ID: peer}, methodDialBack, raw, askBackTime); err != nil {
		return at, false, err
	}
	var reply wire.DialBackReply
	if err := proto.Unmarshal(raw, &reply); err != nil {
		return at, false, err
	}
	seen, ok := netip.AddrFromSlice(reply.Seen)
	if !ok {
		return at, false, fmt.Errorf("an address of %d bytes", len(reply.Seen))
	}
	return netip.AddrPortFrom(seen.Unmap(), port), reply.Reached, nil
}

// askable are the connected nodes that are asked: the farthest first, for
// they see what a friend elsewhere sees.
func (r *reacher) askable() []host.PeerID {
	conns := r.p.host.Connections()
	far := func(addr string) int {
		a, err := netip.ParseAddrPort(addr)
		if err != nil {
			return 0
		}
		return distanceTo(a.Addr())
	}
	slices.SortStableFunc(conns, func(a, b p2p.Connection) int { return far(a.Addr) - far(b.Addr) })
	var ids []host.PeerID
	for _, c := range conns[:min(len(conns), maxDialBackBy)] {
		ids = append(ids, c.Peer)
	}
	return ids
}
