package ircd

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	otherws "golang.org/x/net/websocket"
)

// lineSocket is the client's end of a WebSocket as a stream of lines.
type lineSocket struct {
	net.Conn
	ws   *websocket.Conn
	kind int
	in   bytes.Buffer
	out  chan []byte // lines on their way, as a socket would hold them
	end  sync.Once
	over chan struct{} // closed by Close
}

// newLineSocket shakes hands over a connection.
func newLineSocket(nc net.Conn, protocol string) (*lineSocket, error) {
	d := websocket.Dialer{
		NetDial:      func(string, string) (net.Conn, error) { return nc, nil },
		Subprotocols: []string{protocol},
	}
	ws, _, err := d.Dial("ws://irc.test/", nil)
	if err != nil {
		return nil, err
	}
	if ws.Subprotocol() != protocol {
		return nil, fmt.Errorf("the server speaks %q", ws.Subprotocol())
	}
	kind := websocket.TextMessage
	if protocol == webBinary {
		kind = websocket.BinaryMessage
	}
	l := &lineSocket{Conn: nc, ws: ws, kind: kind, out: make(chan []byte, 1000), over: make(chan struct{})}
	go l.write()
	return l, nil
}

func (l *lineSocket) write() {
	for {
		select {
		case line := <-l.out:
			l.ws.WriteMessage(l.kind, line)
		case <-l.over:
			return
		}
	}
}

func (l *lineSocket) Close() error {
	l.end.Do(func() { close(l.over) })
	return l.Conn.Close()
}

func (l *lineSocket) Write(b []byte) (int, error) {
	for line := range bytes.Lines(b) {
		line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
		l.out <- bytes.Clone(line)
	}
	return len(b), nil
}

func (l *lineSocket) Read(b []byte) (int, error) {
	if l.in.Len() == 0 {
		kind, message, err := l.ws.ReadMessage()
		switch {
		case err != nil:
			return 0, io.EOF
		case kind != l.kind || bytes.ContainsAny(message, "\r\n"):
			return 0, fmt.Errorf("a message of kind %d: %q", kind, message)
		}
		l.in.Write(message)
		l.in.WriteString("\r\n")
	}
	return l.in.Read(b)
}

// TestTranscriptsOverWebSocket plays all transcripts over WebSocket, in messages of text and of
// bytes: what is said and answered is the same.
func TestTranscriptsOverWebSocket(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.txt")
	for _, protocol := range []string{webText, webBinary} {
		for _, file := range files {
			name := strings.TrimSuffix(filepath.Base(file), ".txt")
			switch {
			case name == "too_many", name == "per_address": // who is turned away is told by HTTP
				continue
			case name == "lines": // with lines beyond all bounds; see TestWebSocketMessages
				continue
			case protocol == webText && (name == "labels" || name == "standard_replies"): // with bytes that no text may have
				continue
			}
			t.Run(protocol+" "+name, func(t *testing.T) {
				want, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				var got string
				synctest.Test(t, func(t *testing.T) { got = play(t, string(want), protocol) })
				if got != string(want) {
					t.Error(firstDifference(string(want), got))
				}
			})
		}
	}
}

// dialWeb connects to the first port of a server by WebSocket.
func dialWeb(s *Server, scheme string, header http.Header, protocols ...string) (*websocket.Conn, *http.Response, error) {
	d := websocket.Dialer{HandshakeTimeout: 10 * time.Second, Subprotocols: protocols, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	ws, response, err := d.Dial(scheme+"://"+s.Addrs()[0].String()+"/any/path", header)
	if err == nil {
		ws.SetReadDeadline(time.Now().Add(20 * time.Second))
	}
	return ws, response, err
}

func onlyWeb(more func(*Config)) func(*Config) {
	return func(c *Config) {
		c.Listen, c.WebsocketListen = []string{}, []string{"127.0.0.1:0"}
		if more != nil {
			more(c)
		}
	}
}

// webUntil reads messages up to one that contains text.
func webUntil(t *testing.T, ws *websocket.Conn, text string) (kind int, line string) {
	t.Helper()
	for {
		kind, message, err := ws.ReadMessage()
		if err != nil {
			t.Fatalf("waiting for %q: %v", text, err)
		}
		if strings.Contains(string(message), text) {
			return kind, string(message)
		}
	}
}

func webSend(t *testing.T, ws *websocket.Conn, kind int, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if err := ws.WriteMessage(kind, []byte(line)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWebSocketSubprotocols(t *testing.T) {
	s, _ := serving(t, onlyWeb(nil))
	for _, test := range []struct {
		asked  []string
		chosen string
		sends  int
		gets   int
	}{
		{[]string{webText, webBinary}, webText, websocket.TextMessage, websocket.TextMessage},
		{[]string{webBinary, webText}, webBinary, websocket.BinaryMessage, websocket.BinaryMessage},
		{[]string{"soap", webBinary}, webBinary, websocket.BinaryMessage, websocket.BinaryMessage},
		{[]string{"soap"}, "", websocket.TextMessage, websocket.TextMessage},
		{nil, "", websocket.BinaryMessage, websocket.BinaryMessage}, // as the client does
		{[]string{webText}, webText, websocket.BinaryMessage, websocket.TextMessage},
	} {
		ws, _, err := dialWeb(s, "ws", nil, test.asked...)
		if err != nil {
			t.Fatal(err)
		}
		if ws.Subprotocol() != test.chosen {
			t.Errorf("%v: %q was chosen", test.asked, ws.Subprotocol())
		}
		webSend(t, ws, test.sends, "NICK al", "USER al 0 * :Al")
		if kind, _ := webUntil(t, ws, " 422 al "); kind != test.gets {
			t.Errorf("%v: messages of kind %d", test.asked, kind)
		}
		webSend(t, ws, test.sends, "QUIT")
		webUntil(t, ws, "ERROR ")
		if _, _, err := ws.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseNormalClosure) {
			t.Errorf("%v: no goodbye: %v", test.asked, err)
		}
		ws.Close()
	}
}

// TestWebSocketOrigins: no website may use the server unless it is named, not even one
// that claims to be where the server is.
func TestWebSocketOrigins(t *testing.T) {
	for _, test := range []struct {
		allowed []string
		origin  string
		in      bool
	}{
		{nil, "", true},
		{nil, "https://evil.example", false},
		{nil, "http://HOST", false},
		{nil, "null", false},
		{[]string{"https://chat.example"}, "https://chat.example", true},
		{[]string{"https://chat.example"}, "https://chat.example.evil", false},
		{[]string{"https://chat.example"}, "http://chat.example", false},
		{[]string{"https://*.example"}, "https://a.example", true},
		{[]string{"*"}, "https://evil.example", true},
	} {
		s, cancel := serving(t, onlyWeb(func(c *Config) { c.WebsocketOrigins = append([]string{}, test.allowed...) }))
		header := http.Header{}
		if test.origin != "" {
			header.Set("Origin", strings.ReplaceAll(test.origin, "HOST", s.Addrs()[0].String()))
		}
		ws, response, err := dialWeb(s, "ws", header, webText)
		if test.in != (err == nil) {
			t.Errorf("%v, %s: %v", test.allowed, test.origin, err)
		}
		if err == nil {
			ws.Close()
		} else if response == nil || response.StatusCode != http.StatusForbidden {
			t.Errorf("%s: answered with %v", test.origin, response)
		}
		cancel(nil)
	}
}

func TestWebSocketWithTLS(t *testing.T) {
	s, cancel := serving(t, func(c *Config) {
		c.Listen, c.WebsocketTLSListen = []string{}, []string{"127.0.0.1:0"}
	})
	if hints := strings.Join(s.Hints(), "\n"); !strings.Contains(hints, "wss://127.0.0.1:") || !strings.Contains(hints, "SHA-256") {
		t.Error(hints)
	}
	// Browsers speak other protocols of HTTP too.
	nc, err := tls.Dial("tcp", s.Addrs()[0].String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2", "http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := nc.ConnectionState().NegotiatedProtocol; got != "http/1.1" {
		t.Errorf("ALPN is %q", got)
	}
	nc.Close()
	ws, _, err := dialWeb(s, "wss", nil, webText)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	webSend(t, ws, websocket.TextMessage, "NICK al", "USER al 0 * :Al", "PRIVMSG al :über TLS")
	webUntil(t, ws, "PRIVMSG al :über TLS")
	cancel(errors.New("node stopped"))
	webUntil(t, ws, "ERROR :Closing link (node stopped)")
}

// TestWebSocketMessages: what a message may hold, and what becomes of what it may not.
func TestWebSocketMessages(t *testing.T) {
	s, _ := serving(t, onlyWeb(nil))
	in := func(protocol string) *websocket.Conn {
		ws, _, err := dialWeb(s, "ws", nil, protocol)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ws.Close() })
		kind := websocket.TextMessage
		webSend(t, ws, kind, "NICK n"+fmt.Sprint(time.Now().UnixNano()%1e9), "USER u 0 * :U")
		webUntil(t, ws, " 422 ")
		return ws
	}
	ws := in(webText)
	webSend(t, ws, websocket.TextMessage, "PING one\r\n", "PING two\n", "PING three\r\nPING four", "", "  ", "PING five")
	webUntil(t, ws, ":one")
	webUntil(t, ws, ":two")
	if _, line := webUntil(t, ws, " "); !strings.Contains(line, "INVALID_LINE") {
		t.Errorf("two lines in a message: %s", line)
	}
	if _, line := webUntil(t, ws, " "); !strings.Contains(line, ":five") {
		t.Errorf("after blank messages: %s", line)
	}
	// Longer than a line: refused as everywhere. Much longer: the end.
	webSend(t, ws, websocket.TextMessage, "PING "+strings.Repeat("x", 600))
	webUntil(t, ws, " 417 ")
	webSend(t, ws, websocket.TextMessage, "PING "+strings.Repeat("x", maxLine+10))
	webUntil(t, ws, " 417 ")
	webSend(t, ws, websocket.TextMessage, "PING still")
	webUntil(t, ws, ":still")
	webSend(t, ws, websocket.TextMessage, "PING "+strings.Repeat("x", maxWebMessage))
	if _, _, err := ws.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseMessageTooBig) {
		t.Error(err)
	}
	// Bytes that are no text: the end of a client of text, FAIL for one of bytes.
	ws = in(webText)
	webSend(t, ws, websocket.TextMessage, "PRIVMSG x :\xff")
	if _, _, err := ws.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseInvalidFramePayloadData) {
		t.Error(err)
	}
	ws = in(webBinary)
	webSend(t, ws, websocket.BinaryMessage, "PRIVMSG x :\xff")
	webUntil(t, ws, "FAIL * INVALID_UTF8")
}

// TestWhatIsNoWebSocket: browsers, plain IRC, noise and silence at such a port.
func TestWhatIsNoWebSocket(t *testing.T) {
	s, _ := serving(t, onlyWeb(func(c *Config) { c.Limits.Registration = time.Second }))
	for sent, want := range map[string]string{
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n":                       "HTTP/1.1 400 ",
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n": "HTTP/1.1 400 ",
		"NICK al\r\nUSER al 0 * :Al\r\n":                          "",
		"":                                                        "",
		"GET /" + strings.Repeat("x", 2*maxWebHandshake) + "\r\n":   "",
		"GET / HTTP/1.1\r\nX: " + strings.Repeat("y", 40000) + "\n": "",
	} {
		nc, err := net.Dial("tcp", s.Addrs()[0].String())
		if err != nil {
			t.Fatal(err)
		}
		nc.SetDeadline(time.Now().Add(20 * time.Second))
		io.WriteString(nc, sent)
		got, _ := io.ReadAll(nc)
		if !strings.HasPrefix(string(got), want) || want == "" && len(got) > 0 {
			t.Errorf("%.40q is answered with %q", sent, got)
		}
		nc.Close()
	}
}

// TestAnotherKindOfWebSocketClient has a client of another library, which names a website as browsers do.
func TestAnotherKindOfWebSocketClient(t *testing.T) {
	s, _ := serving(t, onlyWeb(func(c *Config) { c.WebsocketOrigins = []string{"https://chat.example"} }))
	config, err := otherws.NewConfig("ws://"+s.Addrs()[0].String()+"/", "https://chat.example")
	if err != nil {
		t.Fatal(err)
	}
	config.Protocol = []string{webText}
	ws, err := otherws.DialConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	ws.SetDeadline(time.Now().Add(20 * time.Second))
	for _, line := range []string{"NICK al", "USER al 0 * :Al", "PRIVMSG al :über alles", "QUIT"} {
		if err := otherws.Message.Send(ws, line); err != nil {
			t.Fatal(err)
		}
	}
	var all, line string
	for otherws.Message.Receive(ws, &line) == nil {
		all += line + "\n"
	}
	for _, want := range []string{" 001 al :", "PRIVMSG al :über alles\n", "ERROR :Closing link (Quit)\n"} {
		if !strings.Contains(all, want) {
			t.Errorf("no %q in\n%s", want, all)
		}
	}
}

// TestWebSocketPings: an idle client is pinged by WebSocket, and by IRC as any other.
func TestWebSocketPings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		client, server := net.Pipe()
		s.wg.Go(func() { s.serveWeb(server) })
		l, err := newLineSocket(client, webText)
		if err != nil {
			t.Fatal(err)
		}
		var pings atomic.Int32
		l.ws.SetPingHandler(func(string) error { pings.Add(1); return nil })
		a := &actor{nc: l}
		s.wg.Go(a.read)
		last := ""
		latest := func() string {
			for _, last = range a.take() {
			}
			return last
		}
		io.WriteString(l, "NICK al\r\nUSER al 0 * :Al\r\n")
		time.Sleep(3*webPing + time.Second)
		synctest.Wait()
		if n := pings.Load(); n != 3 {
			t.Errorf("%d pings", n)
		}
		if got := latest(); got != "PING :irc.test" {
			t.Errorf("the last line is %q", got)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		l.Close()
		s.wg.Wait()
		if got := a.take(); len(got) != 2 || !strings.HasPrefix(got[0], "ERROR :Closing link (Ping timeout") {
			t.Errorf("at the end came %q", got)
		}
	})
}

// TestAWebSocketClientThatDoesNotRead is cut off as any other, and its server can stop.
func TestAWebSocketClientThatDoesNotRead(t *testing.T) {
	s, _ := serving(t, onlyWeb(func(c *Config) { c.Limits.WriteTimeout = time.Second }))
	slow, _, err := dialWeb(s, "ws", nil, webText)
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	webSend(t, slow, websocket.TextMessage, "NICK slow", "USER u 0 * :U")
	webUntil(t, slow, " 422 ")
	talker, _, err := dialWeb(s, "ws", nil, webText)
	if err != nil {
		t.Fatal(err)
	}
	defer talker.Close()
	webSend(t, talker, websocket.TextMessage, "NICK talker", "USER u 0 * :U")
	webUntil(t, talker, " 422 ")
	deadline := time.Now().Add(20 * time.Second)
	text := "PRIVMSG slow :" + strings.Repeat("x", 400)
	for n := 0; ; n++ {
		if time.Now().After(deadline) {
			t.Fatal("it is not cut off")
		}
		for range 2000 {
			webSend(t, talker, websocket.TextMessage, text)
		}
		webSend(t, talker, websocket.TextMessage, "PING done", "ISON slow")
		webUntil(t, talker, ":done")
		if _, line := webUntil(t, talker, " 303 "); !strings.HasSuffix(line, "slow") {
			return
		}
	}
}

// serveWeb serves one client over WebSocket.
func (s *stage) serveWeb(nc net.Conn) {
	ctx, cancel := s.server().whileAlive(s.ctx)
	defer cancel(nil)
	closed := make(chan struct{})
	s.server().serveConn(ctx, &entrance{web: true}, nc, func() { close(closed) })
	<-closed
}

// FuzzWebSocket sends anything to a port for WebSocket: as the handshake, or after one.
func FuzzWebSocket(f *testing.F) {
	const hello = "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	f.Add(false, []byte(hello))
	f.Add(false, []byte("NICK al\r\n"))
	f.Add(true, []byte("\x81\x86\x00\x00\x00\x00PING x"))
	f.Add(true, []byte("\x01\x84\x00\x00\x00\x00PING\x80\x82\x00\x00\x00\x00 x\x88\x80\x00\x00\x00\x00"))
	s, err := newServer(chatSetup(), defaultConfig())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, after bool, sent []byte) {
		near, far := net.Pipe()
		go io.Copy(io.Discard, near) // ends when it is closed
		go func() {
			if after {
				io.WriteString(near, hello)
			}
			near.Write(sent)
			near.Close()
		}()
		closed := make(chan struct{})
		s.serveConn(context.Background(), &entrance{web: true}, far, func() { close(closed) })
		<-closed
	})
}
