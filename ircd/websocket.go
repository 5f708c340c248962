package ircd

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"

	"ircbridge/chat"
)

const (
	// webText and webBinary are the subprotocols of IRCv3, "WebSocket support".
	webText   = "text.ircv3.net"
	webBinary = "binary.ircv3.net"
	// maxWebHandshake bounds the request of a client, in bytes.
	maxWebHandshake = 16 << 10
	// maxWebMessage bounds a message of a client; one that is shorter, and longer than a line may
	// be, is answered as such a line is.
	maxWebMessage = 2 * maxLine
	// webPing is how often a client is sent a ping of WebSocket, so that proxies between do not take
	// the connection for dead.
	webPing = 45 * time.Second
)

var webBuffers sync.Pool

// upgrade shakes hands with a WebSocket client, and makes lines of its messages. Who is no such
// client is told by HTTP.
func (s *Server) upgrade(a *arrival, forwarded bool) error {
	r := bufio.NewReader(io.LimitReader(a.Conn, maxWebHandshake))
	request, err := http.ReadRequest(r)
	if err != nil {
		tellPlaintext(err)
		return fmt.Errorf("WebSocket: %w", err)
	}
	if forwarded {
		a.forwardedFor(request)
	}
	upgrader := websocket.Upgrader{
		Subprotocols:    []string{preferred(websocket.Subprotocols(request))},
		CheckOrigin:     s.live.Load().allowsOrigin,
		ReadBufferSize:  1 << 10,
		WriteBufferSize: 1 << 10,
		WriteBufferPool: &webBuffers,
		Error:           explain,
	}
	ws, err := upgrader.Upgrade(&handshake{conn: a.Conn, r: r, header: http.Header{}}, request, nil)
	if err != nil {
		return fmt.Errorf("WebSocket: %w", err)
	}
	a.Conn, a.web = newWebConn(a.Conn, ws), true
	return nil
}

// explain tells a browser, or who wrote a client, why there is no WebSocket.
func explain(w http.ResponseWriter, _ *http.Request, status int, _ error) {
	text := "This port speaks IRC over WebSocket, to clients that ask for one of " + webText + " and " + webBinary + "."
	if status == http.StatusForbidden {
		text = "Clients from this website are not let in: websocket_origins of the server does not name it."
	}
	http.Error(w, text, status)
}

// preferred is the first subprotocol of a client's list that is spoken here, "" for none.
func preferred(list []string) string {
	i := slices.IndexFunc(list, func(name string) bool { return name == webText || name == webBinary })
	if i < 0 {
		return ""
	}
	return list[i]
}

// allowsOrigin reports whether a client may connect that runs in a page of some website. Any
// website that a user opens could reach a server on his machine otherwise; that the page came
// from the same host says nothing, since whoever has the name decides what host that is. Clients
// that are no browsers name none.
func (s *settings) allowsOrigin(r *http.Request) bool {
	origins := r.Header.Values("Origin")
	if len(origins) == 0 {
		return true
	}
	return len(origins) == 1 && slices.ContainsFunc(s.WebsocketOrigins, func(mask string) bool {
		return chat.MatchMask(mask, origins[0])
	})
}

// handshake is the answer of HTTP, and lets the connection be taken over.
type handshake struct {
	conn   net.Conn
	r      *bufio.Reader
	header http.Header
}

// Header implements http.ResponseWriter.
func (h *handshake) Header() http.Header { return h.header }

// WriteHeader implements http.ResponseWriter.
func (h *handshake) WriteHeader(status int) {
	h.header.Set("Connection", "close")
	fmt.Fprintf(h.conn, "HTTP/1.1 %d %s\r\n", status, http.StatusText(status))
	h.header.Write(h.conn)
	io.WriteString(h.conn, "\r\n")
}

// Write implements http.ResponseWriter.
func (h *handshake) Write(b []byte) (int, error) { return h.conn.Write(b) }

// Hijack implements http.Hijacker.
func (h *handshake) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return ungoverned{h.conn}, bufio.NewReadWriter(h.r, bufio.NewWriterSize(h.conn, 16)), nil
}

// ungoverned is a connection whose deadlines are not for who has it to set.
type ungoverned struct{ net.Conn }

func (ungoverned) SetDeadline(time.Time) error      { return nil }
func (ungoverned) SetReadDeadline(time.Time) error  { return nil }
func (ungoverned) SetWriteDeadline(time.Time) error { return nil }

// webConn is a stream of lines over WebSocket, a line in each message. What comes from the client is
// read by a goroutine of its own, since a WebSocket is of no use after a read that a deadline ended, and
// a connection of IRC has many.
type webConn struct {
	net.Conn // below the WebSocket: for addresses and the deadline of writes
	ws       *websocket.Conn
	kind     atomic.Int32 // of the messages that are written
	follow   bool         // kind is what the client sends
	rest     []byte       // a line whose end has not been written yet
	in       net.Conn     // the reader's end
	ping     *time.Timer
	over     chan struct{} // closed when nothing more is read
}

func newWebConn(below net.Conn, ws *websocket.Conn) *webConn {
	near, far := net.Pipe()
	w := &webConn{Conn: below, ws: ws, in: near, over: make(chan struct{}), follow: ws.Subprotocol() == ""}
	w.kind.Store(websocket.TextMessage)
	if ws.Subprotocol() == webBinary {
		w.kind.Store(websocket.BinaryMessage)
	}
	ws.SetReadLimit(maxWebMessage)
	w.ping = time.AfterFunc(webPing, w.keepAlive)
	go w.pump(far) // ends when the connection below is closed, for which Close waits
	return w
}

func (w *webConn) keepAlive() {
	select {
	case <-w.over:
	default:
		w.ws.WriteControl(websocket.PingMessage, nil, time.Now().Add(closeTime))
		w.ping.Reset(webPing)
	}
}

// pump reads messages, and makes lines of them, until the connection ends.
func (w *webConn) pump(to net.Conn) {
	defer close(w.over)
	defer to.Close()
	for {
		kind, message, err := w.ws.ReadMessage()
		if err != nil {
			return
		}
		if kind == websocket.TextMessage && !utf8.Valid(message) { // RFC 6455, section 8.1
			w.sayClose(websocket.CloseInvalidFramePayloadData)
			return
		}
		if w.follow {
			w.kind.Store(int32(kind))
		}
		to.Write(lineOf(message)) // the last one is lost on who has closed
	}
}

// lineOf is the line of a message. One that ends as lines do on other connections is
// taken too; a line end anywhere else is not what it would be there.
func lineOf(message []byte) []byte {
	message = bytes.TrimSuffix(bytes.TrimSuffix(message, []byte("\n")), []byte("\r"))
	message = bytes.ReplaceAll(message, []byte("\n"), []byte("\r")) // which no line may hold
	return append(message, '\r', '\n')
}

// Read implements net.Conn.
func (w *webConn) Read(b []byte) (int, error) { return w.in.Read(b) }

// SetReadDeadline implements net.Conn.
func (w *webConn) SetReadDeadline(t time.Time) error { return w.in.SetReadDeadline(t) }

// SetDeadline implements net.Conn.
func (w *webConn) SetDeadline(t time.Time) error {
	return errors.Join(w.in.SetReadDeadline(t), w.Conn.SetWriteDeadline(t))
}

// Write implements net.Conn: each line of b is a message. It has one caller at a time.
func (w *webConn) Write(b []byte) (int, error) {
	for rest := b; ; {
		line, after, ended := bytes.Cut(rest, []byte("\n"))
		if !ended {
			w.rest = append(w.rest, rest...)
			return len(b), nil
		}
		if len(w.rest) > 0 {
			line = append(w.rest, line...)
			w.rest = w.rest[:0]
		}
		line = bytes.TrimSuffix(line, []byte("\r"))
		kind := int(w.kind.Load())
		if kind == websocket.TextMessage && !utf8.Valid(line) {
			line = bytes.ToValidUTF8(line, []byte("\uFFFD"))
		}
		if err := w.ws.WriteMessage(kind, line); err != nil {
			return len(b) - len(rest), err
		}
		rest = after
	}
}

func (w *webConn) sayClose(code int) {
	w.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, ""), time.Now().Add(closeTime))
}

// Close says goodbye, waits a moment for the client to do the same, and closes.
func (w *webConn) Close() error {
	w.ping.Stop()
	w.in.Close()
	w.Conn.SetWriteDeadline(time.Now().Add(closeTime))
	timer := time.AfterFunc(closeTime, func() { w.Conn.Close() })
	defer timer.Stop()
	w.sayClose(websocket.CloseNormalClosure)
	<-w.over
	return w.Conn.Close()
}

// checkOrigins says what is wrong with websocket_origins.
func (c *Config) checkOrigins() error {
	for _, origin := range c.WebsocketOrigins {
		if origin == "" || strings.ContainsAny(origin, " \t") || origin != "*" && !strings.Contains(origin, "://") {
			return fmt.Errorf("[irc] websocket_origins = %q: not an origin: write SCHEME://HOST, such as \"https://chat.example\", or \"*\" for all", origin)
		}
	}
	return nil
}
