package chattest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"ircbridge/chat"
)

// Options of an in-memory Service. The zero value is usable.
type Options struct {
	// Now is the clock; nil means time.Now. It is called with the network
	// locked: it must not call back.
	Now func() time.Time
	// ID makes the ID of the next message; nil counts "m1", "m2", …. It is
	// called with the network locked.
	ID func() string
	// Node describes the first node. Without an ID it gets the ID
	// 0123456789abcdef0123456789abcdef01234567, without a Host the one that
	// the design prescribes (12 characters of the ID and .node.ircbridge),
	// without a start the present time.
	Node chat.Node
	// MaxQueued and MaxStall replace chat.MaxQueuedBytes and chat.MaxStall
	// where they are not 0, for tests of the bound itself.
	MaxQueued int
	MaxStall  time.Duration
	// Accounts gives each user the account of his node, as a node of an overlay
	// does: a made-up text with the node's ID in it. Without it there are none.
	Accounts bool
	// Fail, when it returns an error, makes what was asked fail with it (and
	// do nothing): a network that does not answer. op is the name of the
	// method (Open, SetNick, Join, Kick, Invite, Knock, SetTopic, SetMode, SetMetadata, RenameChannel, Channel,
	// List, Send, Redact, Lookup, Whowas, Watch, Keeper); target the nick or
	// channel. A
	// failed Send is an outcome. It is called with the network locked.
	Fail func(op, target string) error
}

// Service is one node of an in-memory network; it is a chat.Service. All
// nodes of one network share one state.
type Service struct {
	net  *network
	node chat.Node
}

// network is the state that the nodes share. mu guards all of it, the
// sessions and the channels with it.
type network struct {
	opt Options

	mu       sync.Mutex
	nodes    []*Service
	nicks    map[string]*session    // by folded nick
	channels map[string]*channel    // by folded home
	called   map[string]*channel    // by folded name, those whose name is not that of their home; resting ones too
	resting  map[string]*channel    // nobody is on them, and somebody may return
	past     map[string][]chat.Past // by folded nick, the latest first
	said     map[string]*said       // what was accepted, by ID
	opened   int                    // sessions ever opened
	messages int                    // messages ever accepted, for the default IDs
	held     bool                   // Hold was called
	waiting  []pending              // sends not yet settled, oldest first
	far      map[*Service]bool      // nodes that are cut off from the others
	stopped  string                 // why no session may be opened any more
}

// NewService makes a network of one node.
func NewService(o Options) *Service {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.MaxQueued == 0 {
		o.MaxQueued = chat.MaxQueuedBytes
	}
	if o.MaxStall == 0 {
		o.MaxStall = chat.MaxStall
	}
	n := &network{opt: o, nicks: map[string]*session{}, channels: map[string]*channel{}, called: map[string]*channel{}, resting: map[string]*channel{}, past: map[string][]chat.Past{}, said: map[string]*said{}}
	return n.add(o.Node)
}

// AddNode adds a node to the network of s: its sessions meet those of s. The
// fields of node that are empty are filled in as those of Options.Node, with
// an ID that differs.
func (s *Service) AddNode(node chat.Node) *Service { return s.net.add(node) }

func (n *network) add(node chat.Node) *Service {
	n.mu.Lock()
	defer n.mu.Unlock()
	if node.ID == "" {
		node.ID = "0123456789abcdef0123456789abcdef01234567"
		if k := len(n.nodes); k > 0 {
			node.ID = fmt.Sprintf("%012x%s", 0xa00000000000+k, node.ID[12:])
		}
	}
	if node.Host == "" {
		node.Host = node.ID[:min(12, len(node.ID))] + ".node.ircbridge"
	}
	if node.Started.IsZero() {
		node.Started = n.opt.Now()
	}
	s := &Service{net: n, node: node}
	n.nodes = append(n.nodes, s)
	return s
}

// Open implements chat.Service.
func (s *Service) Open(ctx context.Context, u chat.User) (chat.Session, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	n := s.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.stopped != "" {
		return nil, fmt.Errorf("open %q: %w: %s", u.Nick, chat.ErrStopped, n.stopped)
	}
	if err := n.failLocked("Open", u.Nick); err != nil {
		return nil, err
	}
	if err := n.checkNickLocked(u.Nick, nil); err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	n.opened++
	se := &session{
		net: n, home: s, wake: make(chan struct{}, 1), settled: make(chan struct{}),
		self: chat.Profile{
			Session:  chat.SessionID(fmt.Sprintf("s%d", n.opened)),
			Nick:     u.Nick,
			Username: chat.Cut(u.Username, chat.MaxUsername),
			Host:     s.node.Host,
			Realname: chat.Cut(u.Realname, chat.MaxRealname),
			Server:   s.node.Host,
			Account:  s.account(),
			Secure:   u.Secure,
			Meta:     u.Meta,
		},
		signOn: n.opt.Now(),
	}
	se.active = se.signOn
	n.nicks[chat.Fold(u.Nick)] = se
	n.presenceLocked(u.Nick)
	return se, nil
}

// account is the account of all users of this node.
func (s *Service) account() string {
	if !s.net.opt.Accounts {
		return ""
	}
	return "12D3KooW" + s.node.ID // about as long as the text of a peer ID
}

// Node implements chat.Service.
func (s *Service) Node() chat.Node { return s.node }

// Counts implements chat.Service.
func (s *Service) Counts() chat.Counts {
	s.net.mu.Lock()
	defer s.net.mu.Unlock()
	c := chat.Counts{
		KnownUsers:    len(s.net.nicks),
		KnownChannels: len(s.net.channels),
		KnownNodes:    len(s.net.nodes),
	}
	for _, se := range s.net.nicks {
		if se.home == s {
			c.LocalUsers++
		}
	}
	return c
}

// Hold lets no Send have an outcome until Release: a network that takes its
// time. What a session does next to a channel settles its own sends first, as
// rule 2 of package chat asks.
func (s *Service) Hold() {
	s.net.mu.Lock()
	defer s.net.mu.Unlock()
	s.net.held = true
}

// Release settles all that was held, in the order in which it was sent.
func (s *Service) Release() {
	s.net.mu.Lock()
	defer s.net.mu.Unlock()
	s.net.held = false
	s.net.settleLocked(nil)
}

// Rename takes a user's nick away in the name of the network, as when two
// rings merge: everybody concerned, he too, gets a Renamed event with why. It
// reports whether there was such a user and the new nick was free.
func (s *Service) Rename(nick, to, why string) bool {
	n := s.net
	n.mu.Lock()
	defer n.mu.Unlock()
	se := n.nicks[chat.Fold(nick)]
	if se == nil || n.checkNickLocked(to, se) != nil {
		return false
	}
	if why == "" {
		why = "the network took the nick away"
	}
	se.renameLocked(to, why)
	return true
}

// Announce gives every user of this node a Notice, as a node does that has
// lost its ring or is back in it.
func (s *Service) Announce(text string) {
	s.net.mu.Lock()
	defer s.net.mu.Unlock()
	var here []*session
	for _, se := range s.net.nicks {
		if se.home == s {
			here = append(here, se)
		}
	}
	sortSessions(here)
	for _, se := range here {
		se.pushLocked(chat.Notice{Text: text, At: s.net.opt.Now()})
	}
}

// Inject puts an event into the queue of one user, such as a Notice or a
// ViewChanged, which the in-memory network has no occasion to make. The state
// does not change. It reports whether there is such a user.
func (s *Service) Inject(nick string, e chat.Event) bool {
	s.net.mu.Lock()
	defer s.net.mu.Unlock()
	se := s.net.nicks[chat.Fold(nick)]
	if se == nil {
		return false
	}
	se.pushLocked(e)
	return true
}

// Stop ends the network: its sessions are closed with the reason, and no new
// one is opened.
func (s *Service) Stop(reason string) {
	n := s.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.stopped != "" {
		return
	}
	n.stopped = reason
	for _, se := range n.allLocked() {
		se.closeLocked(reason, true, fmt.Errorf("%w: %s: %w", chat.ErrClosed, reason, chat.ErrStopped))
	}
}

func (n *network) failLocked(op, target string) error {
	if n.opt.Fail == nil {
		return nil
	}
	if err := n.opt.Fail(op, target); err != nil {
		return fmt.Errorf("%s %s: %w", op, target, err)
	}
	return nil
}

// checkNickLocked says whether nick may be taken by who, who may be nil.
func (n *network) checkNickLocked(nick string, who *session) error {
	if !chat.ValidNick(nick) {
		return fmt.Errorf("nick %q: %w", chat.Cut(nick, 2*chat.MaxNick), chat.ErrBadNick)
	}
	if other := n.nicks[chat.Fold(nick)]; other != nil && other != who {
		return fmt.Errorf("nick %s: %w", nick, chat.ErrNickInUse)
	}
	return nil
}

// nickLocked is whom as finds under a nick.
func (n *network) nickLocked(as *session, nick string) (*session, error) {
	if se := n.nicks[chat.Fold(nick)]; se != nil && as.meetsLocked(se) {
		return se, nil
	}
	return nil, fmt.Errorf("nick %q: %w", chat.Cut(nick, 2*chat.MaxNick), chat.ErrNoSuchNick)
}

func (n *network) nextIDLocked() string {
	n.messages++
	if n.opt.ID != nil {
		return n.opt.ID()
	}
	return fmt.Sprintf("m%d", n.messages)
}

// sortSessions orders sessions by folded nick, so that nothing that can be
// seen depends on the order of a map.
func sortSessions(list []*session) {
	slices.SortFunc(list, func(a, b *session) int {
		return strings.Compare(chat.Fold(a.self.Nick), chat.Fold(b.self.Nick))
	})
}
