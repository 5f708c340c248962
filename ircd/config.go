package ircd

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
	"unicode/utf8"

	"ircbridge/chat"
)

// Config is the table [irc] of the configuration.
type Config struct {
	// Listen holds the addresses (HOST:PORT) at which IRC clients may
	// connect, without TLS. Default: 127.0.0.1:6667, or the next free of the
	// nine ports above it when that is busy; a busy port that is named here is
	// an error. Port 0 picks a free one. An empty list turns plain text off,
	// and without TLSListen IRC altogether.
	Listen []string `toml:"listen"`
	// Insecure allows addresses in Listen that other machines can reach:
	// passwords and messages then cross the network in plain text. Default:
	// false; not needed when Password is set.
	Insecure bool `toml:"insecure"`
	// TLSListen holds the addresses (HOST:PORT) at which IRC clients may
	// connect with TLS; any machine may reach them. Default: none.
	TLSListen []string `toml:"tls_listen"`
	// WebsocketListen and WebsocketTLSListen hold the addresses (HOST:PORT) at which clients
	// may connect by WebSocket, as those in browsers do: without TLS (ws://; the rule for
	// Listen holds) and with it (wss://). Default: none.
	WebsocketListen    []string `toml:"websocket_listen"`
	WebsocketTLSListen []string `toml:"websocket_tls_listen"`
	// WebsocketOrigins are the websites whose pages may connect by WebSocket, each
	// SCHEME://HOST with * and ? as in masks, or "*" for all. Default: none, which leaves clients
	// that are no browsers.
	WebsocketOrigins []string `toml:"websocket_origins"`
	// Proxied are those of the addresses above, as they are written there, whose clients come
	// through a proxy that says who they are: by the PROXY protocol, or over WebSocket also by
	// X-Forwarded-For. Nobody else can connect there. Default: none.
	Proxied []string `toml:"proxied"`
	// Proxies are the addresses of such proxies, IP addresses or networks ("10.0.0.0/8").
	// Default: this machine.
	Proxies []string `toml:"proxies"`
	// TLSCert and TLSKey are the PEM files of the certificate for TLS and
	// of its key. They are read again when they change. Default: "" for both:
	// the node makes a certificate of its own, once, and prints its fingerprint.
	TLSCert string `toml:"tls_cert"`
	TLSKey  string `toml:"tls_key"`
	// ServerName is the name of this server in prefixes and numerics. It needs
	// a dot. Default: the visible host of the node's users.
	ServerName string `toml:"server_name"`
	// Network is the name of the network that clients show: 1 to 30 letters,
	// digits, - _ and dots. Default: "ircbridge".
	Network string `toml:"network"`
	// Password is what a client must give with PASS. Default: "" (none).
	Password string `toml:"password"`
	// MOTD is the message of the day, of up to 100 lines. Default: "" (none).
	MOTD string `toml:"motd"`
	// Admin says who runs this server: up to 3 lines (place, organisation,
	// address) for ADMIN. Default: none.
	Admin []string `toml:"admin"`
	// Opers are the operators of this server. Default: none.
	Opers []Oper `toml:"oper"`
	// Limits on clients.
	Limits Limits `toml:"limits"`
}

// Limits is the table [irc.limits].
type Limits struct {
	// MaxConnections is the number of clients at one time; one more is sent
	// away with "ERROR :Too many connections". Default: 2000.
	MaxConnections int `toml:"max_connections"`
	// PerAddress is the number of clients at one time from one IP address (of IPv6: from
	// one /64) of another machine. 0 means no limit. Default: 20.
	PerAddress int `toml:"per_address"`
	// Connects is the number of connections that may be opened in a minute from one such
	// address. 0 means no limit. Default: 60.
	Connects int `toml:"connects"`
	// Registration is the time in which a client must have registered (NICK,
	// USER), such as "30s". Default: 30 s.
	Registration time.Duration `toml:"registration"`
	// PingInterval is the silence after which a client is sent a PING. Default:
	// 90 s.
	PingInterval time.Duration `toml:"ping_interval"`
	// PingTimeout is the time that a client then has to send anything at all.
	// Default: 90 s.
	PingTimeout time.Duration `toml:"ping_timeout"`
	// WriteTimeout is the time in which a client must have taken 16 KiB that
	// wait for it; one that does not read is cut off. Default: 30 s.
	WriteTimeout time.Duration `toml:"write_timeout"`
	// LineRate is the number of lines a second that are read from a client in
	// the long run; faster ones wait. 0 means no limit. Default: 5.
	LineRate float64 `toml:"line_rate"`
	// LineBurst is the number of lines that a client may send at once before
	// LineRate is applied. Default: 40.
	LineBurst int `toml:"line_burst"`
	// LimitLoopback applies LineRate to clients on this machine too. Default:
	// false.
	LimitLoopback bool `toml:"limit_loopback"`
	// NickChanges is the number of nick changes that one client may ask for in a
	// minute; more are refused with 438. 0 means no limit. Default: 10.
	NickChanges int `toml:"nick_changes"`
	// Channels is the number of channels that one client may be on, at most
	// 100. Default: 100.
	Channels int `toml:"channels"`
}

const (
	defaultHost  = "127.0.0.1"
	defaultPort  = 6667
	defaultPorts = 10 // how many are tried
	maxMOTDLines = 100

	maxAdminLines = 3
)

func defaultConfig() Config {
	return Config{
		TLSListen:          []string{},
		WebsocketListen:    []string{},
		WebsocketTLSListen: []string{},
		WebsocketOrigins:   []string{},
		Proxied:            []string{},
		Proxies:            []string{"127.0.0.1", "::1"},
		Network:            "ircbridge",
		Admin:              []string{},
		Opers:              []Oper{},
		Limits: Limits{
			MaxConnections: 2000,
			PerAddress:     20,
			Connects:       60,
			Registration:   30 * time.Second,
			PingInterval:   90 * time.Second,
			PingTimeout:    90 * time.Second,
			WriteTimeout:   30 * time.Second,
			LineRate:       5,
			LineBurst:      40,
			NickChanges:    10,
			Channels:       chat.MaxChannels,
		},
	}
}

// check says in one line what is wrong with a configuration, and what to do.
func (c *Config) check() error {
	switch {
	case !validServerName(c.ServerName):
		return fmt.Errorf("[irc] server_name = %q: a server name has 3 to 63 letters, digits, - and dots, and at least one dot: choose another, or leave it out", c.ServerName)
	case !validToken(c.Network, "-_."):
		return fmt.Errorf("[irc] network = %q: a network name has 1 to 30 letters, digits, - _ and dots: choose another, or leave it out", c.Network)
	case strings.ContainsAny(c.Password, "\r\n\x00") || len(c.Password) > 400:
		return errors.New("[irc] password: at most 400 bytes in one line: choose another")
	case !utf8.ValidString(c.MOTD) || strings.Contains(c.MOTD, "\x00"):
		return errors.New("[irc] motd: must be UTF-8 without NUL")
	case len(motdLines(c.MOTD)) > maxMOTDLines:
		return fmt.Errorf("[irc] motd: has more than %d lines: shorten it", maxMOTDLines)
	}
	if err := c.checkAdmin(); err != nil {
		return err
	}
	if err := c.checkOpers(); err != nil {
		return err
	}
	if err := c.Limits.check(); err != nil {
		return err
	}
	return c.checkListen()
}

func (c *Config) checkListen() error {
	known := map[string]bool{}
	for _, way := range c.ways() {
		for _, addr := range way.list {
			known[addr] = true
			if _, port, err := net.SplitHostPort(addr); err != nil || port == "" {
				return fmt.Errorf("[irc] %s = %q: not an address: write HOST:PORT, such as \"127.0.0.1:6667\"", way.key, addr)
			}
			if !way.tls {
				if err := c.checkPlain(way.key, addr); err != nil {
					return err
				}
			}
		}
	}
	for _, addr := range c.Proxied {
		if !known[addr] {
			return fmt.Errorf("[irc] proxied = %q: there is no such address: name one as it stands in listen, tls_listen, websocket_listen or websocket_tls_listen", addr)
		}
	}
	for _, proxy := range c.Proxies {
		if _, err := parseNetwork(proxy); err != nil {
			return fmt.Errorf("[irc] proxies = %q: neither an IP address nor a network, such as \"10.0.0.0/8\"", proxy)
		}
	}
	if len(c.Proxied) > 0 && len(c.Proxies) == 0 {
		return errors.New("[irc] proxied: nobody could connect there: name the proxy in proxies")
	}
	if err := c.checkOrigins(); err != nil {
		return err
	}
	return c.checkTLS()
}

func (c *Config) checkAdmin() error {
	if len(c.Admin) > maxAdminLines {
		return fmt.Errorf("[irc] admin: has more than %d lines: shorten it", maxAdminLines)
	}
	for _, line := range c.Admin {
		if !utf8.ValidString(line) || strings.ContainsAny(line, "\r\n\x00") {
			return errors.New("[irc] admin: each line must be UTF-8, without NUL and line breaks")
		}
	}
	return nil
}

func (c *Config) checkTLS() error {
	switch {
	case (c.TLSCert == "") != (c.TLSKey == ""):
		return errors.New("[irc] tls_cert and tls_key belong together: name both files, or none for a certificate that the node makes")
	case c.TLSCert != "" && !c.hasTLS():
		return errors.New("[irc] tls_cert: there is no address for TLS: name one with tls_listen, such as [\"0.0.0.0:6697\"]")
	}
	return nil
}

func (l *Limits) check() error {
	positive := []struct {
		name  string
		value time.Duration
	}{
		{"registration", l.Registration}, {"ping_interval", l.PingInterval},
		{"ping_timeout", l.PingTimeout}, {"write_timeout", l.WriteTimeout},
	}
	for _, d := range positive {
		if d.value < time.Second || d.value > 24*time.Hour {
			return fmt.Errorf("[irc.limits] %s = %v: must be between 1s and 24h, written with its unit (\"90s\")", d.name, d.value)
		}
	}
	switch {
	case l.MaxConnections < 1 || l.MaxConnections > 1_000_000:
		return fmt.Errorf("[irc.limits] max_connections = %d: must be between 1 and 1000000", l.MaxConnections)
	case l.PerAddress < 0 || l.PerAddress > 1_000_000:
		return fmt.Errorf("[irc.limits] per_address = %d: must be between 0 (no limit) and 1000000 clients", l.PerAddress)
	case l.Connects < 0 || l.Connects > 1_000_000:
		return fmt.Errorf("[irc.limits] connects = %d: must be between 0 (no limit) and 1000000 a minute", l.Connects)
	case !(l.LineRate >= 0 && l.LineRate <= 1e6):
		return fmt.Errorf("[irc.limits] line_rate = %v: must be between 0 (no limit) and 1000000 lines a second", l.LineRate)
	case l.LineBurst < 1 || l.LineBurst > 1_000_000:
		return fmt.Errorf("[irc.limits] line_burst = %d: must be between 1 and 1000000 lines", l.LineBurst)
	case l.NickChanges < 0 || l.NickChanges > 1_000_000:
		return fmt.Errorf("[irc.limits] nick_changes = %d: must be between 0 (no limit) and 1000000 a minute", l.NickChanges)
	case l.Channels < 1 || l.Channels > chat.MaxChannels:
		return fmt.Errorf("[irc.limits] channels = %d: must be between 1 and %d", l.Channels, chat.MaxChannels)
	}
	return nil
}

// checkPlain refuses an address without TLS that other machines can reach, unless that
// is meant.
func (c *Config) checkPlain(key, addr string) error {
	host, _, _ := net.SplitHostPort(addr)
	if c.Insecure || c.Password != "" || host == "localhost" {
		return nil
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsLoopback() {
		return nil
	}
	return fmt.Errorf("[irc] %s = %q: other machines could connect there, in plain text and without a password: listen on 127.0.0.1, or set a password, or insecure = true if that is meant", key, addr)
}

func validServerName(name string) bool {
	return len(name) >= 3 && len(name) <= 63 && strings.Contains(name, ".") && strings.Trim(name, ".") == name && validWord(name, "-.")
}

func validToken(name, extra string) bool {
	return len(name) >= 1 && len(name) <= 30 && validWord(name, extra)
}

func validWord(s, extra string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		ok := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte(extra, c) >= 0
		if !ok {
			return false
		}
	}
	return true
}

func motdLines(text string) []string {
	text = strings.TrimRight(text, "\r\n")
	if text == "" {
		return nil
	}
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], "\r")
	}
	return lines
}
