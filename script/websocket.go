package script

import (
	"bytes"
	"context"
	"errors"
	"net"

	"github.com/gorilla/websocket"
)

// webSocket is a WebSocket to a server, with an IRC line in each message, as a
// stream of lines. Like the others it has one reader, and one writer at a time.
type webSocket struct {
	net.Conn
	ws   *websocket.Conn
	in   bytes.Buffer
	rest []byte // a line whose end has not been written yet
}

// openWeb shakes hands over conn.
func openWeb(ctx context.Context, conn net.Conn, addr string) (*webSocket, error) {
	dialer := websocket.Dialer{
		NetDialContext: func(context.Context, string, string) (net.Conn, error) { return conn, nil },
		Subprotocols:   []string{"text.ircv3.net"},
	}
	ws, _, err := dialer.DialContext(ctx, "ws://"+addr+"/", nil)
	if err != nil {
		return nil, err
	}
	return &webSocket{Conn: conn, ws: ws}, nil
}

func (w *webSocket) Read(b []byte) (int, error) {
	if w.in.Len() == 0 {
		_, message, err := w.ws.ReadMessage()
		if err != nil {
			return 0, err
		}
		w.in.Write(message)
		w.in.WriteString("\r\n")
	}
	return w.in.Read(b)
}

func (w *webSocket) Write(b []byte) (int, error) {
	w.rest = append(w.rest, b...)
	for {
		line, rest, ended := bytes.Cut(w.rest, []byte("\n"))
		if !ended {
			return len(b), nil
		}
		if err := w.ws.WriteMessage(websocket.TextMessage, bytes.TrimSuffix(line, []byte("\r"))); err != nil {
			return 0, err
		}
		w.rest = rest
	}
}

// CloseWrite is not possible: a WebSocket closes both ways.
func (w *webSocket) CloseWrite() error {
	return errors.New("a WebSocket does not half-close")
}
