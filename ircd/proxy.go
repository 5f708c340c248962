package ircd

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/pires/go-proxyproto"
)

// readProxyHeader reads what a proxy says of the client (PROXY protocol, version 1 or 2) before
// anything else. found is false where the header is not there and need not be. Nobody but
// the proxies of the configuration comes in: others could claim any address.
func (s *Server) readProxyHeader(a *arrival, optional bool) (found bool, err error) {
	if !s.live.Load().trusts(a.from) {
		return false, fmt.Errorf("%v is no proxy of the configuration (proxies in [irc])", a.from)
	}
	here := a.local
	a.local = false // until it is known where the client is
	r := bufio.NewReaderSize(a.Conn, 256)
	header, err := proxyproto.Read(r)
	a.Conn = &ahead{Conn: a.Conn, r: r}
	switch {
	case errors.Is(err, proxyproto.ErrNoProxyProtocol) && optional:
		return false, nil
	case err != nil:
		return false, fmt.Errorf("PROXY header: %w", err)
	}
	// A proxy's own connection, to see whether the server is there, has no address of a client.
	if header.Command.IsProxy() {
		if from, ok := header.SourceAddr.(*net.TCPAddr); ok {
			a.from, a.local = from, here && isLocal(from)
		}
	}
	return true, nil
}

// forwardedFor takes the client's address from the header of HTTP, where the proxy put it at the
// end; what stands before that the client may have made up.
func (a *arrival) forwardedFor(r *http.Request) {
	here := isLocal(a.from)
	words := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	last := strings.TrimSpace(words[len(words)-1])
	if ip, err := netip.ParseAddr(last); err == nil {
		a.from = net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip.Unmap(), 0))
		a.local = here && isLocal(a.from)
	}
}

// ahead is a connection of which more has been read than was used.
type ahead struct {
	net.Conn
	r *bufio.Reader // nil when all of it is used
}

// Read implements net.Conn.
func (c *ahead) Read(b []byte) (int, error) {
	if c.r != nil {
		if c.r.Buffered() > 0 {
			return c.r.Read(b)
		}
		c.r = nil
	}
	return c.Conn.Read(b)
}
