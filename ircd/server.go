package ircd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"ircbridge/chat"
)

// slack is how many connections above the limit are open at once, to be told
// so; the rest are held back by not being accepted.
const slack = 16

// Server is the IRC front-end. It implements chat.Frontend.
type Server struct {
	cfg     Config // at the start: addresses and names stay as they are here
	name    string // of this server, in prefixes
	version string
	dataDir string // for what must stay over a restart; "" for none
	service chat.Service
	log     *slog.Logger
	ask     func(context.Context, string) []string // what the node answers for itself; may be nil
	reload  func() ([]string, error)               // has the program read its configuration again; may be nil
	now     func() time.Time                       // for what people see; deadlines use the real clock

	commands  map[string]command
	uses      map[string]*use          // of each command; the map never changes
	live      atomic.Pointer[settings] // what Reload may change
	reloading sync.Mutex
	certs     *certificates // of the TLS ports; nil before Listen, or without them
	entrances []*entrance
	hints     []string
	lines     sharedLines

	life context.Context // ends with DIE
	die  context.CancelCauseFunc

	hashing   sync.Mutex // held while a password is compared with a hash
	operTries tries

	mu        sync.Mutex       // guards what follows
	clients   map[string]*conn // registered, by folded nick
	operators map[chat.SessionID]operator
	addresses map[string]int // connections from each address of another machine
	conns     int            // connections, registered or not
	users     int            // of them registered
	maxUsers  int
	maxGlobal int
}

// New makes the front-end from its table [irc]. It is a chat.Factory: it
// starts nothing, and returns nil, nil when the table turns IRC off: no
// address at all.
func New(setup chat.Setup) (chat.Frontend, error) {
	cfg := defaultConfig()
	if setup.Decode != nil {
		if err := setup.Decode(&cfg); err != nil {
			return nil, err
		}
	}
	if cfg.Listen != nil && !slices.ContainsFunc(cfg.ways(), func(w way) bool { return len(w.list) > 0 }) {
		return nil, nil
	}
	s, err := newServer(setup, cfg)
	if err != nil {
		return nil, err
	}
	return s, nil
}

func newServer(setup chat.Setup, cfg Config) (*Server, error) {
	if cfg.ServerName == "" {
		cfg.ServerName = setup.Service.Node().Host
	}
	if err := cfg.check(); err != nil {
		return nil, err
	}
	s := &Server{
		cfg: cfg, name: cfg.ServerName, version: "ircbridge-" + setup.Version,
		service: setup.Service, log: setup.Log, now: time.Now,
		commands: commandTable(), clients: map[string]*conn{}, dataDir: setup.DataDir, ask: setup.Ask, reload: setup.Reload,
		addresses: map[string]int{},
		operators: map[chat.SessionID]operator{}, operTries: tries{burst: operTries, pause: operPause},
	}
	s.life, s.die = context.WithCancelCause(context.Background())
	s.live.Store(newSettings(cfg))
	s.uses = make(map[string]*use, len(s.commands))
	for name := range s.commands {
		s.uses[name] = new(use)
	}
	if setup.Version == "" {
		s.version = "ircbridge"
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	return s, nil
}

// Hints tells how to connect. It is called after Listen.
func (s *Server) Hints() []string { return append([]string(nil), s.hints...) }

// Addrs are the addresses on which it listens, after Listen.
func (s *Server) Addrs() []net.Addr {
	var addrs []net.Addr
	for _, e := range s.entrances {
		addrs = append(addrs, e.Addr())
	}
	return addrs
}

func (s *Server) closeListeners() {
	for _, e := range s.entrances {
		e.Close()
	}
}

// Serve lets clients in until ctx is done; then each is told why (the cause of
// ctx) with an ERROR line. It returns when the last goroutine is gone: nil,
// chat.ErrExit after DIE, or why a port failed.
func (s *Server) Serve(ctx context.Context) error {
	ctx, cancel := s.whileAlive(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(ctx, s.closeListeners)
	defer stop()
	defer s.closeListeners()

	var wg sync.WaitGroup
	failed := make([]error, len(s.entrances))
	for i, e := range s.entrances {
		wg.Go(func() {
			if err := s.accept(ctx, e, &wg); err != nil {
				failed[i] = fmt.Errorf("irc: %s: %w", e.Addr(), err)
				cancel(failed[i])
			}
		})
	}
	if len(s.entrances) == 0 {
		<-ctx.Done()
	}
	wg.Wait()
	return errors.Join(append(failed, s.died())...)
}

// whileAlive is a context that ends with ctx, and with the server by DIE.
func (s *Server) whileAlive(ctx context.Context) (context.Context, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(s.life, func() { cancel(context.Cause(s.life)) })
	return ctx, func(cause error) {
		stop()
		cancel(cause)
	}
}

// accept takes connections until the listener is closed by ctx. What fails for
// a while, such as a lack of file descriptors, is tried again.
func (s *Server) accept(ctx context.Context, e *entrance, wg *sync.WaitGroup) error {
	const maxPause = time.Second
	pause := 5 * time.Millisecond
	ended := func() {
		<-e.open
		wg.Done()
	}
	for {
		select {
		case e.open <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		nc, err := e.Accept()
		if err != nil {
			<-e.open
		}
		switch {
		case ctx.Err() != nil:
			if err == nil {
				nc.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		case err != nil:
			s.log.Warn("irc: cannot accept a connection, trying again", "error", err, "pause", pause)
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(pause):
			}
			pause = min(2*pause, maxPause)
			continue
		}
		pause = 5 * time.Millisecond
		wg.Add(1)
		go s.serveConn(ctx, e, nc, ended)
	}
}

// ServeConn serves one client on any connection, and returns after it is
// closed. Serve calls it; tests and other listeners may.
func (s *Server) ServeConn(ctx context.Context, nc net.Conn) {
	ctx, cancel := s.whileAlive(ctx)
	defer cancel(nil)
	closed := make(chan struct{})
	s.serveConn(ctx, &entrance{}, nc, func() { close(closed) })
	<-closed
}

// serveConn serves one client, and calls ended after its connection is closed.
// It may return earlier.
func (s *Server) serveConn(ctx context.Context, e *entrance, nc net.Conn, ended func()) {
	if !s.admit() {
		s.turnAway(e, nc, "Too many connections")
		ended()
		return
	}
	a, leave := s.letIn(ctx, e, nc)
	if a == nil {
		s.discharge()
		ended()
		return
	}
	newConn(s, a).start(ctx, func() {
		leave()
		s.discharge()
		a.Close()
		ended()
	})
}

// letIn makes lines of a connection, and counts it for its address, before anything is read from it if
// that is known then. It returns nil when the connection was not let in, and has been closed.
func (s *Server) letIn(ctx context.Context, e *entrance, nc net.Conn) (a *arrival, leave func()) {
	refused := ""
	if !e.proxied {
		if leave, refused = s.admitFrom(arrived(nc)); refused != "" {
			s.turnAway(e, nc, refused)
			return nil, nil
		}
	}
	a, err := s.open(ctx, e, nc)
	if err != nil {
		s.log.Info("irc: a connection was refused", "from", nc.RemoteAddr().String(), "why", err)
		nc.Close()
		if leave != nil {
			leave()
		}
		return nil, nil
	}
	if e.proxied {
		if leave, refused = s.admitFrom(a); refused != "" {
			s.dismiss(a, refused)
			return nil, nil
		}
	}
	return a, leave
}

func (s *Server) admit() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns >= s.live.Load().Limits.MaxConnections {
		return false
	}
	s.conns++
	return true
}

func (s *Server) discharge() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns--
}

// registered counts users in (1) and out (-1).
func (s *Server) registered(by int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users += by
	s.maxUsers = max(s.maxUsers, s.users)
}
