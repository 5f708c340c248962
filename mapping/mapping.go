// Package mapping is chat.Service on an overlay: it maps names and channels to
// keyed objects, and sessions to what they ask of them.
//
// It has two sides. The keeper's side (nickObject, channelObject) holds the
// rules of IRC for senders on any node, as plain deterministic state that the
// overlay moves, merges and feeds with numbered requests. The session's side
// (Service, session, lane, view) sends requests in order, follows channels in
// views, and turns what it sees into the contract's events: what a session did
// itself comes back as a method's result or a Sent, never as an event.
//
// Who owns what: one mutex, Service.mu, guards all of the session's side. It
// is never held over a call that blocks; calls that do not block (Hold,
// Release, Go, Signal) are made under it. The overlay calls Views and the
// handler of direct messages with no lock held. Objects of the keeper's side
// are the overlay's own and touch nothing here. All waiting, tasks, time and
// randomness are the host's.
//
// It never opens a connection, knows nothing of rings, and no address of
// anybody goes into what it sends: a user's visible host is part of his node's
// ID.
//
// Sources: RFC 2811 and 2812 for the rules of channels; Shapiro et al., "A
// comprehensive study of convergent and commutative replicated data types"
// (2011), sections 3.2 and 3.3, for registers and observed-remove sets.
package mapping

import (
	"context"
	"encoding/hex"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"ircbridge/chat"
	"ircbridge/host"
	"ircbridge/overlay"
)

// Config of a Service. Zero values of the durations and bounds are replaced by
// the defaults named.
type Config struct {
	Host    host.Host
	Ring    Ring
	Overlay *overlay.Overlay
	Log     *slog.Logger

	GiveUp    time.Duration // until a request is abandoned; 5 s
	ClaimWait time.Duration // of Open for the network to confirm a nick; 300 ms
	MaxQueued int           // bytes of a session's events; chat.MaxQueuedBytes
	MaxStall  time.Duration // chat.MaxStall

	// Neighbours are the nodes that the ring knows of, for LUSERS; may be nil.
	Neighbours func() []host.PeerID
}

// Ring is what a Service asks of the ring.
type Ring interface {
	Member() bool // this node is in a ring
	Alone() bool  // and is the only one in it
}

// Service lets sessions in on this node. It implements chat.Service.
type Service struct {
	cfg  Config
	h    host.Host
	o    *overlay.Overlay
	log  *slog.Logger
	self host.PeerID
	run  uint64
	node chat.Node

	mu          sync.Mutex
	stopped     bool
	lastSession uint64
	sessions    map[uint64]*session // those that last
	ending      map[uint64]*session // those that are over, and still have something to send
	arrays      queueArrays         // that no session uses
	nicks       map[string]*session // by folded nick: held, or about to be
	views       map[string]*view    // by folded channel
	watches     map[string]*watch   // by folded nick
	nodeLanes   map[string]*lane    // the node's own requests, by folded channel or nick
	// What views that were closed had seen: a channel's last messages may hold
	// what was said up to some minutes ago, also on another side of a cut, and who comes
	// into it again is not shown that twice.
	heardBefore *cache[string, heardBefore]
	located     *cache[string, overlay.Stream]
	letters     *cache[letterKey, uint64]
	quits       *cache[overlay.Stream, person] // sessions that are over
	over        *cache[overlay.Stream, person] // those of this node, by its own knowledge
	untold      *cache[leaving, time.Time]
	left        *cache[overlay.Stream, person] // who went out of channels here
	bearers     bearers
	sight       sight
	lastNode    uint64               // number of the node's own requests
	running     int                  // lanes at work
	idle        host.Event           // signalled when running falls to 0
	listings    map[string]*listing  // by folded home
	names       map[string]string    // of channels followed here whose name is not that of their home: it, by that name; both folded
	aliases     map[string]aliasHeld // by folded home: of channels kept here
	census      census
}

// New makes the service and registers its kinds with the overlay. It starts
// nothing; Node works at once.
func New(cfg Config) *Service {
	setDefault(&cfg.GiveUp, 5*time.Second)
	setDefault(&cfg.ClaimWait, 300*time.Millisecond)
	setDefault(&cfg.MaxQueued, chat.MaxQueuedBytes)
	setDefault(&cfg.MaxStall, chat.MaxStall)
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	h := cfg.Host
	id := nodeID(h.Self().ID)
	s := &Service{
		cfg: cfg, h: h, o: cfg.Overlay, log: cfg.Log, self: h.Self().ID, run: h.Run(),
		node:      chat.Node{ID: hex.EncodeToString(id[:]), Host: VisibleHost(h.Self().ID), Started: h.Now()},
		sessions:  map[uint64]*session{},
		ending:    map[uint64]*session{},
		nicks:     map[string]*session{},
		views:     map[string]*view{},
		watches:   map[string]*watch{},
		nodeLanes: map[string]*lane{},

		heardBefore: newCache[string, heardBefore](64),
		located:     newCache[string, overlay.Stream](4096),
		untold:      newCache[leaving, time.Time](maxUntold),
		letters:     newCache[letterKey, uint64](8192),
		quits:       newCache[overlay.Stream, person](4096),
		over:        newCache[overlay.Stream, person](256),
		left:        newCache[overlay.Stream, person](4096),
		bearers:     bearers{of: map[string][]overlay.Stream{}},
		sight:       newSight(),
		idle:        h.NewEvent(),
		listings:    map[string]*listing{},
		names:       map[string]string{},
		aliases:     map[string]aliasHeld{},
	}
	former := newHistory(maxHistory)
	s.o.Register(overlay.Kind{
		Name: kindNick, Views: nickViews{s},
		New: func(name string) overlay.Object {
			n := newNickObject(name)
			n.history = former
			return n
		},
	})
	s.o.Register(overlay.Kind{
		Name: kindChannel, Views: channelViews{s},
		New: func(name string) overlay.Object { return newChannelObject(name) },
	})
	s.o.Register(overlay.Kind{
		Name: kindDirectory, Volatile: true,
		New: func(name string) overlay.Object { return newDirectoryObject(name) },
	})
	s.o.HandleDirect(s.onDirect)
	return s
}

func setDefault[T ~int | ~int64](v *T, def T) {
	if *v == 0 {
		*v = def
	}
}

// Run starts the periodic tasks and returns; they end with the host.
func (s *Service) Run() {
	s.h.Go("mapping directory", s.directoryLoop)
	s.h.Go("mapping ring watch", s.ringWatch)
}

// Leave ends all sessions: their users quit, and their nicks come free. It
// waits for the keepers to confirm, at most d. No session is opened after it.
// It is called before overlay.Leave.
func (s *Service) Leave(d time.Duration) {
	const reason = "node stopped"
	s.mu.Lock()
	s.stopped = true
	for _, n := range sortedKeys(s.sessions) {
		s.sessions[n].closeLocked(reason, true, fmt.Errorf("%w: %s: %w", chat.ErrClosed, reason, chat.ErrStopped))
	}
	s.mu.Unlock()
	deadline := s.h.Now().Add(d)
	for {
		s.mu.Lock()
		busy := s.running > 0
		s.mu.Unlock()
		if !busy || s.idle.Wait(context.Background(), deadline.Sub(s.h.Now())) != nil {
			return
		}
	}
}

// Node implements chat.Service.
func (s *Service) Node() chat.Node { return s.node }

// stream is the origin stream of one of this node's sessions; 0 is the node.
func (s *Service) stream(session uint64) overlay.Stream {
	return overlay.Stream{Node: s.self, Run: s.run, Session: session}
}

// Open implements chat.Service.
func (s *Service) Open(ctx context.Context, u chat.User) (chat.Session, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !chat.ValidNick(u.Nick) {
		return nil, fmt.Errorf("open %q: %w", chat.Cut(u.Nick, 2*chat.MaxNick), chat.ErrBadNick)
	}
	s.mu.Lock()
	if s.stopped {
		s.mu.Unlock()
		return nil, fmt.Errorf("open %s: %w", u.Nick, chat.ErrStopped)
	}
	folded := chat.Fold(u.Nick)
	if s.nicks[folded] != nil {
		s.mu.Unlock()
		return nil, fmt.Errorf("open %s: %w", u.Nick, chat.ErrNickInUse)
	}
	se := s.newSessionLocked(u)
	se.opening = true
	j := se.claimLocked(u.Nick, se.firstClaimLocked)
	s.mu.Unlock()

	wait := s.cfg.ClaimWait
	if s.cfg.Ring.Alone() {
		wait = 0
	}
	_ = j.wait(ctx, wait)

	s.mu.Lock()
	defer s.mu.Unlock()
	se.opening = false
	refused := j.done && j.err == nil && j.res.Code != 0
	switch {
	case refused:
		se.closeLocked("nick in use", false, chat.ErrClosed)
		return nil, fmt.Errorf("open %s: %w", u.Nick, chat.ErrNickInUse)
	case ctx.Err() != nil:
		se.closeLocked("gone", false, chat.ErrClosed)
		return nil, ctx.Err()
	case s.stopped:
		return nil, fmt.Errorf("open %s: %w", u.Nick, chat.ErrStopped)
	}
	s.refreshNameLocked(u.Nick)
	return se, nil
}

func (s *Service) newSessionLocked(u chat.User) *session {
	s.lastSession++
	now := s.h.Now()
	se := &session{
		s: s, number: s.lastSession, stream: s.stream(s.lastSession),
		me: person{
			nick: u.Nick, username: cleanWord(u.Username, chat.MaxUsername),
			realname: cleanLine(u.Realname, chat.MaxRealname), meta: u.Meta, version: 1,
		},
		signOn: now, active: now,
		lanes:  map[string]*lane{},
		lowest: 1,
		next:   s.h.NewEvent(),
	}
	if u.Secure {
		se.me.flags |= isSecure
	}
	s.sessions[se.number] = se
	s.nicks[chat.Fold(u.Nick)] = se
	return se
}

// cleanWord makes what a user typed a user name that may be shown in a mask.
func cleanWord(text string, max int) string {
	clean := strings.Map(func(r rune) rune {
		if r <= ' ' || r == '!' || r == '@' || r == 0x7f {
			return -1
		}
		return r
	}, text)
	return chat.Cut(clean, max)
}

// cleanLine makes a text one line.
func cleanLine(text string, max int) string {
	if !oneLine(text) {
		text = strings.NewReplacer("\x00", "", "\r", " ", "\n", " ").Replace(text)
	}
	return chat.Cut(text, max)
}
