// Package overlay keeps objects under keys on the ring: one node, the keeper,
// orders the changes of each; objects move when nodes come and go, and come
// back from those who had a stake in them when their keeper died.
//
// What an object is, the package above says (Kind, Object, Views): mapping has
// names and channels. What the overlay gives every kind:
//
//   - Requests, numbered by their origin and repeated until acknowledged,
//     applied once each in order (Request); reads (Query).
//   - An order: each event has a stamp, (epoch, number). The epoch is its
//     keeper's: (counter, node ID, run). A node with a view refuses events of
//     an epoch lower than it has seen; the refused keeper steps down.
//   - A log of recent events, pushed to every node with a view, acknowledged
//     cumulatively. Who has a gap, or sees another epoch, gets a whole view.
//   - Leases: a node that holds something renews it every 30 s. What is not
//     renewed for 90 s lapses; a node known dead is gone after 20 s.
//   - Migration: to a joiner, from a leaver, to whoever the key belongs to.
//   - Copies: the two nodes that follow the keeper on the ring make its steps
//     too. A request is answered when one of them has. Dies the keeper,
//     whoever owns the key then asks the others and goes on in a later epoch.
//   - A database: what a node keeps or has copies of is written down within a
//     second, and by a node without replicas before it answers. What a node finds
//     there when it starts again it brings to whoever keeps the key now.
//   - Rebuilding: a keeper that lacks an object which others hold asks them
//     for their copy (NEED_STATE, Assert) and unites the copies (Merge).
//
// But for the two kinds that it brings, records and groups, it never knows what
// is in a request, an event or a state. It never lets a front-end's context in:
// time is durations, on the host's clock.
//
// Concurrency: Overlay.mu owns all state here, including the Objects, which
// are called under it (they neither block nor call back). It is never held
// over a call to a peer, to the ring's Lookup, or to Views. The lock order is
// overlay, chord, host; before them come those of the two kinds' own side
// (dictionary, groups) and of their outboxes. Periodic tasks: renewLoop,
// sweepLoop, lapseLoop, compareLoop, takeOverLoop, tickLoop, saveLoop and, until all that
// was found in the database is settled, reviveLoop; one pusher for each node
// that is being told something, or for each branch of many (fan.go), one copier for each replica that lacks
// something, and one sender for each record or group that this node is
// asking something.
//
// # Building on it
//
// An application of its own needs a host (host/p2p, or host/sim in tests), a
// ring on it, and an overlay on that. It registers what it uses, starts the
// node, and creates a ring or joins one:
//
//	ring := chord.New(h, chord.Config{})
//	o := overlay.New(h, ring, overlay.Config{})
//	o.RegisterRecords()            // for Put, Get, Remove
//	o.RegisterGroups()             // for JoinGroup, Multicast, SendAny
//	o.HandleRoute(f)               // for Route
//	o.HandleDirect(g)              // for Direct
//	o.Register(overlay.Kind{…})    // for objects of the application's own
//	h.Start()                      // of host/p2p; in tests World.Start of host/sim
//	ring.Run()
//	o.Run()
//	o.Create()                     // or o.Join(peers, d)
//
// From then on, from any task:
//
//   - Values under a key that all can find: Put, Get, Remove. Many owners may put
//     values under one key; each renews its own while it runs, and they
//     stay for their time to live when it is gone.
//   - A message to all who want it, once each and in one order: JoinGroup and
//     Multicast. To one of them, any: SendAny.
//   - A message to whoever owns a key, or to a node that is known: Route, Direct.
//   - State with rules of its own that one node at a time must decide (who has
//     a name, who is first in a queue): a Kind. Its Object is the state at the
//     keeper; Request changes it and Query reads it. If nodes shall be told of
//     changes, or shall bring it back when its keeper was killed, Object.Nodes
//     names them, Hold tells the overlay of their stake, and Views is their side.
//     The kinds here, record and group, are written that way and no other:
//     record.go and groupobject.go are the keeper's side, dictionary.go and
//     group.go the other.
//
// All nodes of an overlay register the same kinds: a node refuses the objects
// of a kind that it does not know. An object's copies may part and meet again (a
// ring that was cut in two; the first moments of one that forms), so Merge must
// unite what two keepers decided apart; Stamp tells the later of two decisions.
// Requests are numbered by their caller, from 1 and without gaps for each
// object and stream, and one batch of them is on its way at a time. The sessions
// 2^64-1 (records) and 2^64-2 (groups) of a node's streams are the overlay's own.
//
// Before a node stops it leaves its groups, then calls Leave of the overlay,
// then Leave of the ring; else its keepers' objects come back only from those
// who hold a stake in them, and it stays a member for the grace time. Limits: MaxValue, MaxValues,
// MaxOwnerValues, MinTTL, MaxTTL, MaxMembers, MaxGroupMessage, MaxRouted,
// MaxBatch. The examples of Put, Multicast, SendAny, Route and Kind are whole
// programs in virtual time.
//
// Sources: Dabek et al., "Towards a Common API for Structured Peer-to-Peer
// Overlays" (2003); Gray and Cheriton, "Leases" (1989); Lamport et al. on
// ballot numbers, of which epochs are a plain case.
package overlay

import (
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"ircbridge/chord"
	"ircbridge/host"
	"ircbridge/overlay/wire"
)

// Config of an overlay; the zero value of a field means its default.
type Config struct {
	Renew      time.Duration // pause between two renewals of a stake; 30 s
	Lease      time.Duration // after which an unrenewed stake lapses; 90 s
	Grace      time.Duration // given to a node that vanished to come back; 20 s
	Stall      time.Duration // given to one that does not answer though its connection stands; 40 s
	GiveUp     time.Duration // how long background work tries one thing; 5 s
	TryTimeout time.Duration // bound of one call; 1 s. Lower finds hung nodes sooner
	Sweep      time.Duration // pause between two looks for objects that are not ours; 1 s
	Compare    time.Duration // pause between two comparisons of copies; 30 s
	Save       time.Duration // pause between two writes of what changed to the database; 1 s
	Unsettled  time.Duration // after a predecessor's death: time for its objects to be asserted before "absent" is answered; 1 s

	MaxLogEntries int // of one object's log; 512
	MaxLogBytes   int // of one object's log; 256 KiB
	MaxStreams    int // origins remembered for one object; 4096
	MaxObjects    int // kept by this node, and copies of others', each; 65,536
	MaxSole       int // of these kept by this node, in which one other node alone has a stake; 16,384
	MaxLogs       int // bytes of all logs together, copies' included; 64 MiB
	Copies        int // of each object, the keeper's included; 3

	Log *slog.Logger // nil: nothing is logged
}

func (c Config) withDefaults() Config {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	num := func(n *int, v int) {
		if *n == 0 {
			*n = v
		}
	}
	def(&c.Renew, 30*time.Second)
	def(&c.Lease, 90*time.Second)
	def(&c.Grace, 20*time.Second)
	def(&c.Stall, 40*time.Second)
	def(&c.GiveUp, 5*time.Second)
	def(&c.TryTimeout, time.Second)
	def(&c.Sweep, time.Second)
	def(&c.Compare, 30*time.Second)
	def(&c.Unsettled, time.Second)
	def(&c.Save, time.Second)
	num(&c.MaxLogEntries, 512)
	num(&c.MaxLogBytes, 256<<10)
	num(&c.MaxStreams, 4096)
	num(&c.MaxObjects, 1<<16)
	num(&c.MaxSole, 1<<14)
	num(&c.MaxLogs, 64<<20)
	num(&c.Copies, 3)
	if c.Log == nil {
		c.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	return c
}

// Overlay is one node's part. All methods are safe for use by many tasks.
type Overlay struct {
	h      host.Host
	ring   *chord.Ring
	cfg    Config
	log    *slog.Logger
	self   chord.ID
	kinds  map[string]Kind                                 // set before Run
	direct func(from host.Peer, msg []byte) (reply []byte) // set before Run
	dict   *dictionary                                     // set before Run, or nil
	groups *groups                                         // set before Run, or nil
	routed RouteHandler                                    // set before Run, or nil
	served map[uint32]served                               // by number of the method; set before Run

	renewNow  host.Event
	sweepNow  host.Event
	takeNow   host.Event
	saveNow   host.Event
	reviveNow host.Event

	mu         sync.Mutex
	objects    map[ref]*object         // kept here
	copies     map[ref]*held           // of what others keep
	replicas   []chord.Contact         // who have copies of what is kept here
	copiers    map[host.PeerID]*copier // replicas being told something
	holds      map[ref]*hold           // our stakes in objects
	pushers    map[host.PeerID]*pusher // nodes being told something
	watched    map[host.PeerID]bool    // nodes being waited for
	deposed    map[ref]bool            // objects whose later epoch is being settled
	tick       time.Time               // when the ticking task was last seen to run
	doubts     map[ref]Epoch           // reigns that may be over; see doubt.go
	keepers    contacts                // who kept what when last heard
	movedTo    contacts                // where what we kept went
	sole       map[host.PeerID]int     // objects in which a node alone has a stake, as counted last
	unsettled  []gained                // ranges that a dead predecessor left us
	toTake     []gained                // of these, those whose copies are not yet fetched
	fetching   []gained                // of those, whose are being fetched
	paths      map[host.PeerID]*path   // to nodes that are not reached directly
	relays     int                     // requests that are being put through for others
	fans       int                     // batches that this node passes on at the moment
	checking   bool                    // a task asks keepers for old copies
	unsaved    unsaved                 // objects whose record in the database is out of date
	saveFailed bool                    // the last write did
	cold       map[ref]*wire.Copy      // found in the database, and not yet brought to their keepers

	near     map[host.PeerID]bool // the neighbours on the ring
	drops    uint64               // how many of them the ring has dropped so far
	lastPred *chord.Contact       // whose death would bring us its range
	bereft   time.Time            // when a predecessor was lost last
	alone    bool                 // the ring had no successor when last heard
	open     bool                 // we answer for our range
	joining  bool                 // and it is being opened
	leaving  bool
	left     bool
	granted  map[host.PeerID]bool // joiners to whom we listed their range
	expected map[ref]expected     // objects that our successor listed for us
	arrived  map[ref]time.Time    // objects handed over before the list came
}

// New makes an overlay on a ring and registers its handlers with the host; it
// starts nothing.
func New(h host.Host, ring *chord.Ring, cfg Config) *Overlay {
	o := &Overlay{
		h: h, ring: ring, cfg: cfg.withDefaults(), self: chord.NodeID(h.Self().ID),
		kinds: make(map[string]Kind), served: make(map[uint32]served), paths: make(map[host.PeerID]*path),
		direct:   func(host.Peer, []byte) []byte { return nil },
		renewNow: h.NewEvent(), sweepNow: h.NewEvent(), takeNow: h.NewEvent(),
		saveNow: h.NewEvent(), reviveNow: h.NewEvent(), cold: make(map[ref]*wire.Copy),
		objects: make(map[ref]*object), holds: make(map[ref]*hold),
		sole:   make(map[host.PeerID]int),
		copies: make(map[ref]*held), copiers: make(map[host.PeerID]*copier),
		pushers: make(map[host.PeerID]*pusher), watched: make(map[host.PeerID]bool),
		deposed: make(map[ref]bool), keepers: newContacts(8192), movedTo: newContacts(4096),
		granted: make(map[host.PeerID]bool), expected: make(map[ref]expected), arrived: make(map[ref]time.Time),
	}
	o.log = o.cfg.Log
	o.handle()
	ring.OnChange(o.onChange)
	h.OnDown(o.onDown)
	return o
}

// Register adds a kind, before Run.
func (o *Overlay) Register(k Kind) { o.kinds[k.Name] = k }

// Create begins a ring of this node alone: every key is its own.
func (o *Overlay) Create() {
	o.ring.Create()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.open, o.joining = true, false
}

// Join enters the ring of any of the peers, within d. What this node kept so
// far it goes on keeping until it finds whose it is. It answers for a range
// only after its successor has listed what lies there.
//
// Others may join this node's ring meanwhile. Then there is nothing to join: it answers
// for its range as before, and asks for what lies with them; and the peers, who may be
// of another ring, are introduced to this one.
func (o *Overlay) Join(peers []host.Peer, d time.Duration) error {
	o.mu.Lock()
	wasOpen, entries := o.open, o.ring.Entries()
	o.open, o.joining = false, true
	o.mu.Unlock()
	err := o.ring.Join(peers, d)
	entered := o.ring.Entries() != entries
	if err != nil || wasOpen && !entered {
		o.mu.Lock()
		o.open, o.joining = wasOpen, false
		o.mu.Unlock()
	}
	if err != nil {
		return err
	}
	if !entered {
		for _, p := range peers {
			o.ring.Introduce(p)
		}
	}
	o.h.Go("overlay open range", o.openRange)
	return nil
}

// Run reads what the database has, starts the periodic tasks and returns; they
// end when the host stops. It comes before Create and Join.
func (o *Overlay) Run() {
	o.load()
	o.h.Go("overlay save loop", o.saveLoop)
	o.h.Go("overlay revive loop", o.reviveLoop)
	o.h.Go("overlay renew loop", o.renewLoop)
	o.h.Go("overlay sweep loop", o.sweepLoop)
	o.h.Go("overlay lapse loop", o.lapseLoop)
	o.h.Go("overlay take over loop", o.takeOverLoop)
	o.h.Go("overlay tick", o.tickLoop)
	o.h.Go("overlay compare loop", o.compareLoop)
}

// Kept names the objects of a kind that this node keeps, sorted.
func (o *Overlay) Kept(kind string) []string {
	var names []string
	o.mu.Lock()
	// any order: sorted below
	for r := range o.objects {
		if r.kind == kind {
			names = append(names, r.name)
		}
	}
	o.mu.Unlock()
	slices.Sort(names)
	return names
}

// Copies counts the objects of others that this node holds copies of.
func (o *Overlay) Copies() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.copies)
}

// KeepsNow reports whether this node keeps the object.
func (o *Overlay) KeepsNow(kind, name string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.objects[ref{kind, name}] != nil
}
