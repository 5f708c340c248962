package ircd

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/pires/go-proxyproto"
)

// behindProxy is a configuration in which the address of one way is proxied.
func behindProxy(way func(*Config) *[]string, more func(*Config)) func(*Config) {
	return func(c *Config) {
		c.Listen = []string{}
		*way(c) = []string{"127.0.0.1:0"}
		c.Proxied = []string{"127.0.0.1:0"}
		c.Opers = []Oper{{Name: "root", Password: sesame}}
		if more != nil {
			more(c)
		}
	}
}

func plainWay(c *Config) *[]string  { return &c.Listen }
func tlsWay(c *Config) *[]string    { return &c.TLSListen }
func webWay(c *Config) *[]string    { return &c.WebsocketListen }
func webTLSWay(c *Config) *[]string { return &c.WebsocketTLSListen }

// header is what a proxy sends for a client.
func header(version byte, from string) *proxyproto.Header {
	client := &net.TCPAddr{IP: net.ParseIP(from), Port: 4000}
	server := &net.TCPAddr{IP: net.ParseIP(from), Port: 6667}
	return proxyproto.HeaderProxyFromAddrs(version, client, server)
}

// TestProxyHeader has clients come through a proxy, by every way in and in both versions of the
// protocol. The server takes them for where they are.
func TestProxyHeader(t *testing.T) {
	for name, way := range map[string]func(*Config) *[]string{"plain": plainWay, "TLS": tlsWay, "web": webWay, "webTLS": webTLSWay} {
		for _, version := range []byte{1, 2} {
			for _, from := range []string{"192.0.2.9", "2001:db8::9"} {
				t.Run(name+" "+string('0'+rune(version))+" "+from, func(t *testing.T) {
					s, _ := serving(t, behindProxy(way, nil))
					nc, err := net.Dial("tcp", s.Addrs()[0].String())
					if err != nil {
						t.Fatal(err)
					}
					defer nc.Close()
					nc.SetDeadline(time.Now().Add(20 * time.Second))
					if _, err := header(version, from).WriteTo(nc); err != nil {
						t.Fatal(err)
					}
					if strings.Contains(name, "TLS") {
						nc = tls.Client(nc, &tls.Config{InsecureSkipVerify: true})
					}
					if strings.Contains(name, "web") {
						if nc, err = newLineSocket(nc, webText); err != nil {
							t.Fatal(err)
						}
						defer nc.Close()
					}
					c := &client{t, nc, bufio.NewReader(nc)}
					c.register("al")
					c.send("WHOIS al")
					c.until(" 378 al al :is connecting from *@" + from + " " + from)
					if conn := s.holder("al"); conn.nc.local || conn.bucket == nil {
						t.Error("it is taken for a client on this machine")
					}
					c.send("OPER root sesame", "STATS p")
					if line := c.until(" 220 "); !strings.Contains(line, "behind a proxy") {
						t.Error(line)
					}
				})
			}
		}
	}
}

// TestWhoIsNoProxy: nobody claims an address but the proxies of the configuration, and who does
// not say one does not come in.
func TestWhoIsNoProxy(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*Config)
		sent   string
	}{
		"not of the proxies": {func(c *Config) { c.Proxies = []string{"192.0.2.0/24", "2001:db8::1"} }, "PROXY TCP4 192.0.2.9 192.0.2.1 1 2\r\nNICK a\r\nUSER a 0 * :a\r\n"},
		"no header":          {nil, "NICK al\r\nUSER al 0 * :Al\r\n"},
		"no header, but P":   {nil, "PASS x\r\nNICK al\r\nUSER al 0 * :Al\r\n"},
		"half a header":      {nil, "PROXY TCP4 192.0.2.9"},
		"a wrong header":     {nil, "PROXY TCP4 nowhere 192.0.2.1 1 2\r\nNICK a\r\nUSER a 0 * :a\r\n"},
		"a wrong second":     {nil, "\r\n\r\n\x00\r\nQUIT\n\x21\x11\xff\xff"},
		"nothing":            {nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := serving(t, behindProxy(plainWay, func(c *Config) {
				c.Limits.Registration = time.Second
				if test.change != nil {
					test.change(c)
				}
			}))
			nc, err := net.Dial("tcp", s.Addrs()[0].String())
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			nc.SetDeadline(time.Now().Add(20 * time.Second))
			io.WriteString(nc, test.sent)
			if got, _ := io.ReadAll(nc); len(got) > 0 {
				t.Errorf("answered with %q", got)
			}
		})
	}
	// At an address that is not proxied the word means nothing.
	s, _ := serving(t, func(*Config) {})
	c := dial(t, s)
	c.send("PROXY TCP4 192.0.2.9 192.0.2.1 1 2")
	c.register("al")
	c.send("WHOIS al")
	c.until(" 378 al al :is connecting from *@127.0.0.1 127.0.0.1")
}

// TestProxysOwnConnection: one of which the proxy says that it is its own is served, but not as a client of this machine.
func TestProxysOwnConnection(t *testing.T) {
	s, _ := serving(t, behindProxy(plainWay, nil))
	nc, err := net.Dial("tcp", s.Addrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(20 * time.Second))
	own := &proxyproto.Header{Version: 2, Command: proxyproto.LOCAL, TransportProtocol: proxyproto.UNSPEC}
	if _, err := own.WriteTo(nc); err != nil {
		t.Fatal(err)
	}
	c := &client{t, nc, bufio.NewReader(nc)}
	c.register("al")
	if s.holder("al").nc.local {
		t.Error("it has no limits")
	}
}

// TestLimitsBehindAProxy: clients are counted by their own address, whoever the proxy is; of IPv6 by the network.
func TestLimitsBehindAProxy(t *testing.T) {
	s, _ := serving(t, behindProxy(plainWay, func(c *Config) { c.Limits.PerAddress = 1 }))
	for from, in := range map[string]bool{"192.0.2.1": true, "192.0.2.2": true, "2001:db8::1": true, "2001:db8:0:1::1": true} {
		come(t, s, from, in)
	}
	come(t, s, "192.0.2.1", false)
	come(t, s, "2001:db8::2", false)
	come(t, s, "127.0.0.1", true)
	come(t, s, "127.0.0.1", true)
}

// come connects through the proxy, and stays.
func come(t *testing.T, s *Server, from string, in bool) {
	t.Helper()
	nc, err := net.Dial("tcp", s.Addrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(20 * time.Second))
	header(2, from).WriteTo(nc)
	c := &client{t, nc, bufio.NewReader(nc)}
	c.send("PING x")
	line := c.until(" ")
	if got := strings.Contains(line, "PONG"); got != in {
		t.Errorf("%s: %s", from, line)
	}
}

// TestForwardedFor: a proxy that speaks HTTP names the client at the end of a header; what the client
// wrote there before does not count, and nowhere but at such an address.
func TestForwardedFor(t *testing.T) {
	for forwarded, want := range map[string]string{
		"192.0.2.9":                 "192.0.2.9",
		"203.0.113.1, 192.0.2.9":    "192.0.2.9",
		"2001:db8::9":               "2001:db8::9",
		"nonsense":                  "127.0.0.1",
		"192.0.2.9, somewhere else": "127.0.0.1",
	} {
		for _, proxied := range []bool{true, false} {
			s, cancel := serving(t, behindProxy(webWay, func(c *Config) {
				if !proxied {
					c.Proxied = []string{}
					want = "127.0.0.1"
				}
			}))
			ws, _, err := dialWeb(s, "ws", http.Header{"X-Forwarded-For": {forwarded}}, webText)
			if err != nil {
				t.Fatal(err)
			}
			webSend(t, ws, websocket.TextMessage, "NICK al", "USER al 0 * :Al", "WHOIS al")
			if _, line := webUntil(t, ws, " 378 "); !strings.HasSuffix(line, " "+want) {
				t.Errorf("%s, proxied %v: %s", forwarded, proxied, line)
			}
			if local := s.holder("al").nc.local; local == proxied {
				t.Errorf("%s, proxied %v: local is %v", forwarded, proxied, local)
			}
			ws.Close()
			cancel(nil)
		}
	}
}

// FuzzProxyHeader feeds whatever a proxy may send.
func FuzzProxyHeader(f *testing.F) {
	for _, version := range []byte{1, 2} {
		text, _ := header(version, "192.0.2.9").Format()
		f.Add(text)
	}
	f.Add([]byte("PROXY UNKNOWN\r\n"))
	f.Add([]byte("PROXY TCP6 :: :: 0 0\r\n"))
	s, err := newServer(chatSetup(), defaultConfig())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, sent []byte) {
		near, far := net.Pipe()
		go func() {
			near.Write(sent)
			near.Close()
		}()
		a := arrived(located{far, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}})
		found, err := s.readProxyHeader(a, false)
		if found && err == nil && (a.from == nil || a.from.String() == "") {
			t.Error("no address")
		}
		io.Copy(io.Discard, a)
	})
}
