package ircd

import (
	"fmt"
	"slices"
	"time"
)

// settings are a configuration and what is made of it. They never change; Reload
// puts others in their place. Each client keeps the limits and tokens that were
// announced to it when it came.
type settings struct {
	Config
	isupport []string
	connects *tries // nil: no limit
}

func newSettings(cfg Config) *settings {
	s := &settings{Config: cfg, isupport: isupportTokens(&cfg)}
	if n := cfg.Limits.Connects; n > 0 {
		s.connects = &tries{burst: n, pause: time.Minute / time.Duration(n)}
	}
	return s
}

// Reload implements chat.Reloader. The message of the day, the lines of ADMIN,
// the password and the operators hold from now on for everybody, the certificate and the limits
// for who connects from now on. Who was an operator by a table that is no more, or
// has changed, is one no more.
func (s *Server) Reload(decode func(v any) error) (later []string, err error) {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	next := defaultConfig()
	if err := decode(&next); err != nil {
		return nil, err
	}
	if next.ServerName == "" {
		next.ServerName = s.service.Node().Host
	}
	if err := next.check(); err != nil {
		return nil, err
	}
	later = s.keepFixed(&next)
	// The addresses of the start and the rest of the new configuration may not
	// go together.
	if err := next.check(); err != nil {
		return nil, fmt.Errorf("%w (addresses change with a restart only)", err)
	}
	for _, e := range s.entrances {
		if e.tls != nil {
			continue
		}
		if err := next.checkPlain(e.key, e.Addr().String()); err != nil {
			return nil, err
		}
	}
	if s.certs != nil {
		if err := s.certs.change(&next); err != nil {
			return nil, err
		}
	}
	live := newSettings(next)
	s.live.Store(live)
	s.retireStrangers(live)
	return later, nil
}

// keepFixed puts what cannot change while clients are served back to what it was
// at the start, and names what would have changed.
func (s *Server) keepFixed(next *Config) (later []string) {
	was := &s.cfg
	for _, k := range []struct {
		key     string
		changed bool
		keep    func()
	}{
		{"listen", !sameAddresses(was.Listen, next.Listen), func() { next.Listen = was.Listen }},
		{"tls_listen", !slices.Equal(was.TLSListen, next.TLSListen), func() { next.TLSListen = was.TLSListen }},
		{"websocket_listen", !slices.Equal(was.WebsocketListen, next.WebsocketListen), func() { next.WebsocketListen = was.WebsocketListen }},
		{"websocket_tls_listen", !slices.Equal(was.WebsocketTLSListen, next.WebsocketTLSListen), func() { next.WebsocketTLSListen = was.WebsocketTLSListen }},
		{"proxied", !slices.Equal(was.Proxied, next.Proxied), func() { next.Proxied = was.Proxied }},
		{"server_name", was.ServerName != next.ServerName, func() { next.ServerName = was.ServerName }},
		// Clients keep logs and settings under the network's name.
		{"network", was.Network != next.Network, func() { next.Network = was.Network }},
		// The hard bound of the ports is made for the number at the start.
		{"limits.max_connections", next.Limits.MaxConnections > was.Limits.MaxConnections, func() { next.Limits.MaxConnections = was.Limits.MaxConnections }},
	} {
		if k.changed {
			later = append(later, k.key)
			k.keep()
		}
	}
	return later
}

// sameAddresses tells no list, the default, from an empty one.
func sameAddresses(a, b []string) bool {
	return (a == nil) == (b == nil) && slices.Equal(a, b)
}
