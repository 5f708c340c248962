package chord

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"ircbridge/host"
)

// Errors of the ring. All are wrapped with what was tried.
var (
	// ErrNoAnswer: nobody confirmed to own the key within the time given.
	ErrNoAnswer = errors.New("no owner answered")
	// ErrNotMember: the node is not (or no longer) a member of a ring.
	ErrNotMember = errors.New("not a member of the ring")
	// ErrLeft: this node has left the ring for good.
	ErrLeft = errors.New("left the ring")
)

// Config says how a Ring behaves. The zero value of a field is its default.
type Config struct {
	// SuccessorListLen is r, the length of successor lists: the ring survives
	// the death of any r-1 neighbours at once. 1 to 64; 0 is 16.
	SuccessorListLen int
	// StabilizePeriod is the pause between two rounds of stabilization,
	// jittered by a quarter. Shorter notices silent deaths earlier and costs
	// one small request each. 0 is 1 s.
	StabilizePeriod time.Duration
	// FixFingersPeriod is the pause between two finger lookups, jittered. A
	// finger that is missing does not wait that long. 0 is 10 s.
	FixFingersPeriod time.Duration
	// MinTimeout is the shortest deadline of a request, however fast the peer
	// answered so far. 0 is 100 ms.
	MinTimeout time.Duration
	// MaxTimeout is the longest deadline of a request that one round trip
	// answers. 0 is 2 s.
	MaxTimeout time.Duration
	// MaxHops bounds the forwards of one lookup. 0 is 32.
	MaxHops int
	// TableBudget is the traffic, in bytes a second, that the table of contacts
	// may cost: with it, lookups go to the owner at once in rings of up to
	// some thousands of nodes. When all contacts are too many for it, a sample
	// of them is kept. 0 is 1000; negative: no table, lookups take about half
	// of log2 N hops.
	TableBudget int
	// Log gets what happens to the ring; nil discards it.
	Log *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.SuccessorListLen <= 0 {
		c.SuccessorListLen = 16
	}
	c.SuccessorListLen = min(c.SuccessorListLen, maxContacts)
	setDefault(&c.StabilizePeriod, time.Second)
	setDefault(&c.FixFingersPeriod, 10*time.Second)
	setDefault(&c.MinTimeout, 100*time.Millisecond)
	setDefault(&c.MaxTimeout, 2*time.Second)
	c.MaxTimeout = max(c.MaxTimeout, c.MinTimeout)
	if c.MaxHops <= 0 {
		c.MaxHops = 32
	}
	if c.TableBudget == 0 {
		c.TableBudget = 1000
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

func setDefault(d *time.Duration, def time.Duration) {
	if *d <= 0 {
		*d = def
	}
}

// state is what a node is to its ring.
type state uint8

const (
	outside state = iota // never joined
	member
	left
)

// Ring is one node's part of the ring. Its methods are safe for use by many
// tasks; those that take a duration block for at most about that long.
type Ring struct {
	h         host.Host
	cfg       Config
	log       *slog.Logger
	id        ID
	wake      host.Event // ends the pause of the stabilizing task
	poke      host.Event // ends the pause of the finger task
	tableWake host.Event // ends the pause of the table's task

	mu      sync.Mutex // guards all below; never held over a blocking call
	state   state
	running bool

	pred        *Contact
	predRun     uint64
	predHeard   time.Time // when pred last said that this node is its successor
	predSettled bool      // pred said so
	predBounded bool      // pred, a joiner, said that all before it up to a settled node are joiners
	open        bool      // a settled predecessor was lost, and no other one is known yet
	lostPred    ID        // which one
	pending     []Contact // what pred, a joiner, is to be granted; see grant.go
	settled     bool      // this node's part of the ring was granted to it
	unsettled   int       // rounds since the join, while not settled
	founded     bool      // it was settled at any time: it may go on alone
	entries     uint64    // how often it entered a ring of others
	told        ID        // the successor that was told that this node is settled

	succs []Contact
	big   bool // the list was full once since it was last known whole: there may be nodes beyond it
	lost  bool // every successor died, and no other one has been found yet

	fingers fingers
	hint    *Contact // a nearer successor that somebody told of
	before  ID       // the first successor that answered before view.from did
	view    headView // what the first successor answered last

	tick        time.Time // when the watching task was last seen to run
	awoke       time.Time // when it was noticed that this node had stood still
	stabilizing bool
	reply       cachedReply // to neighbours, while nothing changes
	peers       peerTable
	checks      map[ID]bool // checks that run
	goodbye     ID          // who said last that it leaves: dropping it is no death
	remembered  []Contact   // oldest first
	aloneTries  int         // attempts to find others, since this node is alone
	aloneNext   int         // which of the remembered is tried next

	relays   int       // requests that are put to others for neighbours
	apart    []Contact // that others reach, but not this node
	silent   int       // first successors in a row that did not answer
	slow     int       // signs that this node itself is slow, at most maxSlow
	meetings meetings  // with peers that may be in another ring; see merge.go

	changes changeQueue

	table   table // of contacts, beyond the ring's own pointers
	gossip  gossip
	keeping keeping
	meter   meter
}

// New makes the ring's part of the node that h carries and registers its
// handlers. It starts nothing, and reads the remembered peers from the store.
func New(h host.Host, cfg Config) *Ring {
	cfg = cfg.withDefaults()
	r := &Ring{
		h:         h,
		cfg:       cfg,
		log:       cfg.Log,
		id:        NodeID(h.Self().ID),
		wake:      h.NewEvent(),
		poke:      h.NewEvent(),
		tableWake: h.NewEvent(),
		checks:    make(map[ID]bool),
	}
	r.peers.init(cfg)
	r.table.reset()
	if cfg.TableBudget > 0 {
		r.meter.init(cfg.TableBudget, h.Now())
		r.loadIncarnation()
	}
	r.loadRemembered()
	r.register()
	r.registerTable()
	h.OnDown(r.connectionLost)
	return r
}

// Run starts the periodic tasks and returns. They end when the host stops or
// the node leaves. It is called once; before or after Create or Join.
func (r *Ring) Run() {
	r.mu.Lock()
	was := r.running
	r.running = true
	r.mu.Unlock()
	if was {
		return
	}
	r.h.Go("chord watch", r.watchLoop)
	r.h.Go("chord stabilize", r.stabilizeLoop)
	r.h.Go("chord fingers", r.fingerLoop)
	if r.cfg.TableBudget > 0 {
		r.h.Go("chord table", r.tableLoop)
	}
}

// Create makes a ring of this node alone, which owns every key. It does
// nothing when the node is a member already, or has left.
func (r *Ring) Create() {
	r.mu.Lock()
	if r.state == outside {
		r.state = member
		r.settled, r.founded = true, true
		r.resetTableLocked(true)
		r.log.Info("new ring", "node", r.id)
	}
	r.changedLocked()
	r.mu.Unlock()
}

// Member reports whether this node is a member of a ring.
func (r *Ring) Member() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state == member
}

// Alone reports whether this node is a ring of one.
func (r *Ring) Alone() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.aloneLocked()
}

func (r *Ring) aloneLocked() bool {
	return r.state == member && len(r.succs) == 0 && r.pred == nil && !r.lost
}

// wholeLocked reports whether the successor list is meant to hold all other
// members: a ring of r nodes or fewer.
func (r *Ring) wholeLocked() bool {
	return !r.big && len(r.succs) > 0 && len(r.succs) < r.cfg.SuccessorListLen
}

// Owns reports whether key belongs to this node as far as it knows itself: key
// in (predecessor, self], everything when alone. It is false without a
// predecessor, and before the node's successor has accepted it. No I/O.
func (r *Ring) Owns(key ID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ownsLocked(key)
}

func (r *Ring) ownsLocked(key ID) bool {
	if p := r.shownPredLocked(); p != nil {
		return InRange(p.ID, key, r.id)
	}
	return r.settled && r.aloneLocked()
}

// Self is this node, with the addresses it has now.
func (r *Ring) Self() Contact { return Contact{ID: r.id, Peer: r.h.Self()} }

// Predecessor is the node before this one on the ring; false when there is
// none, or when this node does not own the keys between them yet.
func (r *Ring) Predecessor() (Contact, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.shownPredLocked(); p != nil {
		return *p, true
	}
	return Contact{}, false
}

// shownPredLocked is the predecessor as the layer above sees it.
func (r *Ring) shownPredLocked() *Contact {
	if r.state != member || !r.settled || r.open {
		return nil
	}
	return r.pred
}

// Successors is the successor list, the first successor first; empty when
// alone. The caller may keep it but not change it.
func (r *Ring) Successors() []Contact {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.succs[:len(r.succs):len(r.succs)]
}

// Known is every contact this node has, each once: the ring's first, then
// fingers, then remembered peers.
func (r *Ring) Known() []Contact {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.knownLocked()
}

func (r *Ring) knownLocked() []Contact {
	var all []Contact
	seen := map[ID]bool{r.id: true}
	add := func(cs ...Contact) {
		for _, c := range cs {
			if !seen[c.ID] {
				seen[c.ID] = true
				all = append(all, c)
			}
		}
	}
	add(r.succs...)
	if r.pred != nil {
		add(*r.pred)
	}
	for _, f := range r.fingers.list {
		add(f.contact)
	}
	add(r.remembered...)
	return all
}

// Suspect tells the ring that a peer seems to have failed: it is checked at
// once, if it matters to the ring or stands in the table, and dropped when it
// does not answer.
func (r *Ring) Suspect(id host.PeerID) {
	r.mu.Lock()
	r.missingLocked(NodeID(id))
	r.mu.Unlock()
	if c, ok := r.Contact(NodeID(id)); ok {
		r.startCheck(c, false)
	}
}

// connectionLost checks a peer that matters to the ring. Connections to others
// are closed all the time, because they are not used.
func (r *Ring) connectionLost(id host.PeerID) {
	r.mu.Lock()
	c, ok := r.ringContactLocked(NodeID(id))
	r.missingLocked(NodeID(id))
	r.mu.Unlock()
	if ok {
		r.startCheck(c, false)
	}
}

// ringContactLocked finds an ID among list, predecessor and fingers.
func (r *Ring) ringContactLocked(id ID) (Contact, bool) {
	if i := indexOf(r.succs, id); i >= 0 {
		return r.succs[i], true
	}
	if r.pred != nil && r.pred.ID == id {
		return *r.pred, true
	}
	for _, f := range r.fingers.list {
		if f.contact.ID == id {
			return f.contact, true
		}
	}
	return Contact{}, false
}

// pause waits for about d, or until ev is signalled; false when the host
// stops.
func (r *Ring) pause(ev host.Event, d time.Duration) bool {
	err := ev.Wait(context.Background(), r.jitter(d))
	return err == nil || errors.Is(err, host.ErrTimeout)
}

// jitter is d, less or more by up to a quarter.
func (r *Ring) jitter(d time.Duration) time.Duration {
	if d < 4 {
		return d
	}
	return d - d/4 + time.Duration(r.h.Rand()%uint64(d/2))
}

// notMember is the error with which a node's answer "not a member" counts.
func notMember(c Contact) error {
	return fmt.Errorf("%w: node %s", ErrNotMember, c)
}
