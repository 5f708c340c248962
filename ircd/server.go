package ircd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/netutil"

	"ircbridge/chat"
)

// slack is how many connections above the limit are open at once, to be told
// so; netutil's listener holds the rest back.
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
	listeners []net.Listener
	plain     []string // addresses of those without TLS
	ports     []port
	hints     []string
	lines     sharedLines

	life context.Context // ends with DIE
	die  context.CancelCauseFunc

	hashing   sync.Mutex // held while a password is compared with a hash
	operTries tries

	mu        sync.Mutex       // guards what follows
	clients   map[string]*conn // registered, by folded nick
	operators map[chat.SessionID]operator
	conns     int // connections, registered or not
	users     int // of them registered
	maxUsers  int
	maxGlobal int
}

// port is a listener, as STATS shows it.
type port struct{ addr, kind string }

// New makes the front-end from its table [irc]. It is a chat.Factory: it
// starts nothing, and returns nil, nil when the table turns IRC off: no
// address, neither for plain text nor for TLS.
func New(setup chat.Setup) (chat.Frontend, error) {
	cfg := defaultConfig()
	if setup.Decode != nil {
		if err := setup.Decode(&cfg); err != nil {
			return nil, err
		}
	}
	if cfg.Listen != nil && len(cfg.Listen) == 0 && len(cfg.TLSListen) == 0 {
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

// Listen opens the ports. Errors are one line that names the address and what
// to do.
func (s *Server) Listen() (err error) {
	defer func() {
		if err != nil {
			s.closeListeners()
		}
	}()
	if s.cfg.Listen == nil {
		if err := s.listenDefault(); err != nil {
			return err
		}
	}
	for _, addr := range s.cfg.Listen {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return fmt.Errorf("[irc] listen = %q: cannot listen there: %w: another program may have that port (perhaps an ircbridge that runs already): choose another", addr, err)
		}
		s.addListener(l)
		// A name may stand for an address that nobody thought of.
		if err := s.cfg.checkAddress(l.Addr().String()); err != nil {
			return err
		}
	}
	return s.listenTLS()
}

func (s *Server) listenTLS() error {
	if len(s.cfg.TLSListen) == 0 {
		return nil
	}
	certs, err := s.loadCertificates()
	if err != nil {
		return err
	}
	s.certs = certs
	for _, addr := range s.cfg.TLSListen {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return fmt.Errorf("[irc] tls_listen = %q: cannot listen there: %w: another program may have that port (perhaps an ircbridge that runs already): choose another", addr, err)
		}
		s.listeners = append(s.listeners, tls.NewListener(s.limited(l), certs.config(s.asksForCertificates)))
		s.ports = append(s.ports, port{l.Addr().String(), "TLS"})
		host, port := shownAddress(l)
		sum, flags := fingerprint(certs.current()), "-tls"
		if s.cfg.TLSCert == "" {
			flags = "-tls -notls_verify -tls_pinned_cert " + sum
		}
		s.hints = append(s.hints,
			fmt.Sprintf("IRC with TLS: %s port %s; SHA-256 of the certificate (%s): %s", host, port, certs.origin, sum),
			fmt.Sprintf("irssi:   /connect %s %s %s", flags, host, port))
	}
	return nil
}

// limited is the hard bound on connections, a little above the limit that is
// told.
func (s *Server) limited(l net.Listener) net.Listener {
	return netutil.LimitListener(l, s.cfg.Limits.MaxConnections+slack)
}

// shownAddress is where a client of this machine reaches a listener.
func shownAddress(l net.Listener) (host, port string) {
	host, port, _ = net.SplitHostPort(l.Addr().String())
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return host, port
}

func (s *Server) listenDefault() error {
	var first error
	for port := defaultPort; port < defaultPort+defaultPorts; port++ {
		l, err := net.Listen("tcp", net.JoinHostPort(defaultHost, fmt.Sprint(port)))
		if err != nil {
			first = errors.Join(first, err)
			continue
		}
		if port != defaultPort {
			s.hints = append(s.hints, fmt.Sprintf("IRC: port %d is busy, so it is port %d this time", defaultPort, port))
		}
		s.addListener(l)
		return nil
	}
	return fmt.Errorf("irc: no free port from %d to %d on %s: name another with listen in [irc]", defaultPort, defaultPort+defaultPorts-1, defaultHost)
}

func (s *Server) addListener(l net.Listener) {
	s.listeners = append(s.listeners, s.limited(l))
	s.plain = append(s.plain, l.Addr().String())
	s.ports = append(s.ports, port{l.Addr().String(), "plain text"})
	host, port := shownAddress(l)
	pass := ""
	if s.cfg.Password != "" {
		pass = " (and the password)"
	}
	s.hints = append(s.hints,
		fmt.Sprintf("irssi:   irssi -c %s -p %s%s", host, port, pass),
		fmt.Sprintf("WeeChat: /server add %s %s/%s -notls%s, then /connect %s", s.cfg.Network, host, port, pass, s.cfg.Network))
}

// Hints tells how to connect. It is called after Listen.
func (s *Server) Hints() []string { return append([]string(nil), s.hints...) }

// Addrs are the addresses on which it listens, after Listen.
func (s *Server) Addrs() []net.Addr {
	var addrs []net.Addr
	for _, l := range s.listeners {
		addrs = append(addrs, l.Addr())
	}
	return addrs
}

func (s *Server) closeListeners() {
	for _, l := range s.listeners {
		l.Close()
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
	failed := make([]error, len(s.listeners))
	for i, l := range s.listeners {
		wg.Go(func() {
			if err := s.accept(ctx, l, &wg); err != nil {
				failed[i] = fmt.Errorf("irc: %s: %w", l.Addr(), err)
				cancel(failed[i])
			}
		})
	}
	if len(s.listeners) == 0 {
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
func (s *Server) accept(ctx context.Context, l net.Listener, wg *sync.WaitGroup) error {
	const maxPause = time.Second
	pause := 5 * time.Millisecond
	for {
		nc, err := l.Accept()
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
		go s.serveConn(ctx, nc, wg.Done)
	}
}

// ServeConn serves one client on any connection, and returns after it is
// closed. Serve calls it; tests and other listeners may.
func (s *Server) ServeConn(ctx context.Context, nc net.Conn) {
	ctx, cancel := s.whileAlive(ctx)
	defer cancel(nil)
	closed := make(chan struct{})
	s.serveConn(ctx, nc, func() { close(closed) })
	<-closed
}

// serveConn serves one client, and calls ended after its connection is closed.
// It may return earlier.
func (s *Server) serveConn(ctx context.Context, nc net.Conn, ended func()) {
	if !s.admit() {
		s.turnAway(nc)
		closeConn(nc)
		ended()
		return
	}
	newConn(s, nc).start(ctx, func() {
		s.discharge()
		closeConn(nc)
		ended()
	})
}

func (s *Server) turnAway(nc net.Conn) {
	s.log.Info("irc: too many connections", "from", addrText(nc), "limit", s.live.Load().Limits.MaxConnections)
	nc.SetDeadline(time.Now().Add(time.Second)) // TLS shakes hands first
	nc.Write([]byte("ERROR :Too many connections\r\n"))
	linger(nc)
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

func addrText(nc net.Conn) string {
	if a := nc.RemoteAddr(); a != nil {
		return a.String()
	}
	return ""
}
