package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"
)

// Handler answers one request with what is to be marshalled as its reply. It
// is called by many goroutines; ctx ends with the server.
type Handler func(ctx context.Context, request json.RawMessage) (reply any)

// Server answers on a socket.
type Server struct {
	l       net.Listener
	dataDir string
	silence time.Duration // Silence, but in tests
}

// Listen takes the socket of a data directory that the caller has locked;
// what an earlier server left there is removed.
func Listen(dataDir string) (*Server, error) {
	clear(dataDir)
	path, err := place(dataDir)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		clear(dataDir)
		return nil, fmt.Errorf("control socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		err = errors.Join(err, l.Close())
		clear(dataDir)
		return nil, fmt.Errorf("control socket: %w", err)
	}
	return &Server{l: l, dataDir: dataDir, silence: Silence}, nil
}

// Serve answers until ctx is done, then cuts everybody off and removes the
// socket.
func (s *Server) Serve(ctx context.Context, h Handler) {
	var clients sync.WaitGroup
	defer clients.Wait()
	defer context.AfterFunc(ctx, func() { _ = s.l.Close() })()
	defer s.Close()
	places := make(chan struct{}, maxClients)
	for {
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
			return
		}
		conn, err := s.l.Accept()
		if err != nil {
			if !pause(ctx, 100*time.Millisecond) { // no more files, perhaps
				return
			}
			<-places
			continue
		}
		clients.Go(func() {
			defer func() { <-places }()
			defer conn.Close()
			defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
			s.attend(ctx, conn, h)
		})
	}
}

// Close gives back the socket. A server that serves does so itself in the end.
func (s *Server) Close() {
	_ = s.l.Close() // removes the socket, and waits for whoever closes it already
	clear(s.dataDir)
}

// attend answers one client, request after request, until he is gone or
// silent.
func (s *Server) attend(ctx context.Context, conn net.Conn, h Handler) {
	r := bufio.NewReaderSize(conn, MaxRequest)
	for {
		if conn.SetReadDeadline(time.Now().Add(s.silence)) != nil {
			return
		}
		line, err := r.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			s.send(conn, refusal{fmt.Sprintf("a request has at most %d bytes in one line", MaxRequest)})
			return
		case err != nil:
			return
		}
		if !json.Valid(line) {
			s.send(conn, refusal{"a request is one JSON object in one line"})
			return
		}
		if !s.send(conn, h(ctx, append(json.RawMessage(nil), line...))) {
			return
		}
	}
}

// refusal is the reply to what is no request.
type refusal struct {
	Error string `json:"error"`
}

func (s *Server) send(conn net.Conn, reply any) bool {
	text, err := json.Marshal(reply)
	if err == nil && len(text) >= MaxReply {
		err = errors.New("the reply is too long")
	}
	if err != nil {
		text, _ = json.Marshal(refusal{err.Error()})
	}
	if conn.SetWriteDeadline(time.Now().Add(s.silence)) != nil {
		return false
	}
	_, err = conn.Write(append(text, '\n'))
	return err == nil
}

// pause waits for d; false when ctx is done.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
