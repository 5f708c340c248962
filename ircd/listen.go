package ircd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"
)

// entrance is a port at which clients come in.
type entrance struct {
	net.Listener
	tls     *tls.Config   // nil for plain text
	key     string        // of its list in the configuration
	web     bool          // lines come in WebSocket messages
	proxied bool          // clients come through a proxy, which says who they are
	open    chan struct{} // has a place for each connection that may be open at once
}

func (e *entrance) kind() string {
	kind := "plain text"
	switch {
	case e.web && e.tls != nil:
		kind = "WebSocket with TLS"
	case e.web:
		kind = "WebSocket"
	case e.tls != nil:
		kind = "TLS"
	}
	if e.proxied {
		kind += ", behind a proxy"
	}
	return kind
}

// A way is a list of addresses in the configuration, and what is spoken there.
type way struct {
	key  string
	list []string
	tls  bool
	web  bool
}

// ways are all of a configuration.
func (c *Config) ways() []way {
	return []way{
		{"listen", c.Listen, false, false},
		{"tls_listen", c.TLSListen, true, false},
		{"websocket_listen", c.WebsocketListen, false, true},
		{"websocket_tls_listen", c.WebsocketTLSListen, true, true},
	}
}

// hasTLS reports whether there is an address with TLS.
func (c *Config) hasTLS() bool { return len(c.TLSListen)+len(c.WebsocketTLSListen) > 0 }

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
	if s.cfg.hasTLS() {
		if s.certs, err = s.loadCertificates(); err != nil {
			return err
		}
	}
	for _, way := range s.cfg.ways() {
		for _, addr := range way.list {
			l, err := net.Listen("tcp", addr)
			if err != nil {
				return fmt.Errorf("[irc] %s = %q: cannot listen there: %w: another program may have that port (perhaps an ircbridge that runs already): choose another", way.key, addr, err)
			}
			e := s.enterBy(l, way, slices.Contains(s.cfg.Proxied, addr))
			// A name may stand for an address that nobody thought of.
			if e.tls == nil {
				if err := s.cfg.checkPlain(way.key, l.Addr().String()); err != nil {
					return err
				}
			}
		}
	}
	return nil
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
		s.enterBy(l, way{key: "listen"}, false)
		return nil
	}
	return fmt.Errorf("irc: no free port from %d to %d on %s: name another with listen in [irc]", defaultPort, defaultPort+defaultPorts-1, defaultHost)
}

// enterBy adds a port, and what to tell people of it. The listener is limited hard, a little
// above the limit on connections that is told.
func (s *Server) enterBy(l net.Listener, by way, proxied bool) *entrance {
	e := &entrance{Listener: l, key: by.key, web: by.web, proxied: proxied, open: make(chan struct{}, s.cfg.Limits.MaxConnections+slack)}
	switch {
	case by.tls && by.web: // browsers would ask their users for a certificate
		e.tls = s.certs.config(func() bool { return false }, "http/1.1")
	case by.tls:
		e.tls = s.certs.config(s.asksForCertificates, "irc")
	}
	s.entrances = append(s.entrances, e)
	host, port := shownAddress(l)
	switch {
	case e.web:
		scheme, more := "ws", ""
		if by.tls {
			scheme, more = "wss", s.certificateHint()
		}
		s.hint("IRC over WebSocket: %s://%s%s", scheme, net.JoinHostPort(host, port), more)
	case by.tls:
		flags := "-tls"
		if s.cfg.TLSCert == "" {
			flags = "-tls -notls_verify -tls_pinned_cert " + fingerprint(s.certs.current())
		}
		s.hint("IRC with TLS: %s port %s%s", host, port, s.certificateHint())
		s.hint("irssi:   /connect %s %s %s", flags, host, port)
	default:
		pass := ""
		if s.cfg.Password != "" {
			pass = " (and the password)"
		}
		s.hint("irssi:   irssi -c %s -p %s%s", host, port, pass)
		s.hint("WeeChat: /server add %s %s/%s -notls%s, then /connect %s", s.cfg.Network, host, port, pass, s.cfg.Network)
	}
	return e
}

func (s *Server) hint(format string, args ...any) {
	s.hints = append(s.hints, fmt.Sprintf(format, args...))
}

func (s *Server) certificateHint() string {
	return fmt.Sprintf("; SHA-256 of the certificate (%s): %s", s.certs.origin, fingerprint(s.certs.current()))
}

// shownAddress is where a client of this machine reaches a listener.
func shownAddress(l net.Listener) (host, port string) {
	host, port, _ = net.SplitHostPort(l.Addr().String())
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return host, port
}

// arrival is a connection that has come in, and carries lines. Its remote address is that of
// the client, be there a proxy between.
type arrival struct {
	net.Conn
	from   net.Addr
	local  bool      // the client is on this machine
	secure *tls.Conn // nil for plain text
	web    bool
}

// arrived is a connection as it is.
func arrived(nc net.Conn) *arrival {
	a := &arrival{Conn: nc, from: nc.RemoteAddr()}
	a.secure, _ = nc.(*tls.Conn)
	a.local = isLocal(a.from)
	return a
}

// isLocal reports whether an address is of this machine, as that of a pipe or a
// Unix socket is too.
func isLocal(addr net.Addr) bool {
	a, ok := addr.(*net.TCPAddr)
	return !ok || a.IP.IsLoopback()
}

// RemoteAddr implements net.Conn.
func (a *arrival) RemoteAddr() net.Addr { return a.from }

// startTLS has all that follows encrypted. The handshake comes with the first byte that is read
// or written.
func (a *arrival) startTLS(config *tls.Config) {
	a.secure = tls.Server(a.Conn, config)
	a.Conn = a.secure
}

// writesToRead reports whether reading writes too, now and then.
func (a *arrival) writesToRead() bool { return a.secure != nil || a.web }

// Close closes the connection; a client that does not read is not waited for.
func (a *arrival) Close() error {
	if a.secure != nil {
		timer := time.AfterFunc(closeTime, func() { a.secure.NetConn().Close() })
		defer timer.Stop()
	}
	return a.Conn.Close()
}

// open makes lines of a connection. What a proxy or a browser has to say first must come within
// the time for registration. With an error the connection is still open.
func (s *Server) open(ctx context.Context, e *entrance, nc net.Conn) (*arrival, error) {
	a := arrived(nc)
	if e.proxied || e.web {
		stop := context.AfterFunc(ctx, func() { nc.Close() })
		defer stop()
		nc.SetDeadline(time.Now().Add(s.live.Load().Limits.Registration))
	}
	forwarded := false // the header of HTTP may say who the client is
	if e.proxied {
		found, err := s.readProxyHeader(a, e.web)
		if err != nil {
			return nil, err
		}
		forwarded = !found
	}
	if e.tls != nil {
		a.startTLS(e.tls)
	}
	if e.web {
		if err := s.upgrade(a, forwarded); err != nil {
			return nil, err
		}
	}
	if e.proxied || e.web {
		nc.SetDeadline(time.Time{})
	}
	return a, nil
}

// turnAway tells a client that he is not let in, before anything was read from him.
func (s *Server) turnAway(e *entrance, nc net.Conn, why string) {
	a := arrived(nc)
	if e.tls != nil && !e.proxied {
		a.startTLS(e.tls)
	}
	if !e.web {
		s.dismiss(a, why)
		return
	}
	s.sendOff(a, why, "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
}

// dismiss ends a connection that is not served.
func (s *Server) dismiss(a *arrival, why string) { s.sendOff(a, why, "ERROR :"+why+"\r\n") }

func (s *Server) sendOff(a *arrival, why, text string) {
	s.log.Info("irc: a connection was refused", "from", a.from.String(), "why", why)
	a.SetDeadline(time.Now().Add(closeTime)) // TLS shakes hands first
	a.Write([]byte(text))
	linger(a)
	a.Close()
}

// trusts reports whether an address is that of a proxy of the configuration.
func (c *Config) trusts(addr net.Addr) bool {
	from, ok := addr.(*net.TCPAddr)
	if !ok {
		return false
	}
	ip := from.AddrPort().Addr().Unmap()
	return slices.ContainsFunc(c.Proxies, func(text string) bool {
		network, err := parseNetwork(text)
		return err == nil && network.Contains(ip)
	})
}

// parseNetwork reads an IP address, or a network such as 10.0.0.0/8.
func parseNetwork(text string) (netip.Prefix, error) {
	if network, err := netip.ParsePrefix(text); err == nil {
		return network.Masked(), nil
	}
	ip, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Prefix{}, err
	}
	ip = ip.Unmap()
	return netip.PrefixFrom(ip, ip.BitLen()), nil
}
