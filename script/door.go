package script

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
)

// door is where and how a connection is opened.
type door struct {
	addr   string // HOST:PORT
	tls    bool
	web    bool   // over WebSocket
	pinned string // SHA-256 of the certificate, in hexadecimal; "" for any
}

// open connects. With TLS the certificate is not checked against any
// authority: what is tested is the server that was named, and its certificate may be
// one that it made itself.
func (d door) open(ctx context.Context) (socket, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", d.addr)
	if err != nil {
		return nil, err
	}
	plain := conn.(*net.TCPConn)
	stream := socket(plain)
	if d.tls {
		if stream, err = d.secure(ctx, plain); err != nil {
			plain.Close()
			return nil, err
		}
	}
	if !d.web {
		return stream, nil
	}
	web, err := openWeb(ctx, stream, d.addr)
	if err != nil {
		plain.Close()
		return nil, fmt.Errorf("WebSocket with %s: %w", d.addr, err)
	}
	return web, nil
}

// secure shakes hands for TLS.
func (d door) secure(ctx context.Context, plain *net.TCPConn) (socket, error) {
	protocol := "irc"
	if d.web {
		protocol = "http/1.1"
	}
	secure := tls.Client(plain, &tls.Config{
		InsecureSkipVerify: true,
		NextProtos:         []string{protocol},
		VerifyConnection:   d.verify,
	})
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("TLS with %s: %w", d.addr, err)
	}
	return secure, nil
}

// verify compares the certificate with the pinned one.
func (d door) verify(state tls.ConnectionState) error {
	if d.pinned == "" {
		return nil
	}
	if len(state.PeerCertificates) == 0 {
		return errors.New("the server showed no certificate")
	}
	shown := fmt.Sprintf("%x", sha256.Sum256(state.PeerCertificates[0].Raw))
	if shown != strings.ToLower(strings.ReplaceAll(d.pinned, ":", "")) {
		return fmt.Errorf("the certificate that was shown has the SHA-256 %s, pinned is %s", shown, d.pinned)
	}
	return nil
}
