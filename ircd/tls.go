package ircd

import (
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// certificates is what the TLS listeners show: the user's certificate, read
// again when its files change, or the node's own.
type certificates struct {
	log *slog.Logger
	own func() (*tls.Certificate, error) // the node's own

	mu     sync.Mutex // guards what follows, also while files are read
	source source
	cert   *tls.Certificate
	stamp  string // of the files that were tried last
	origin string // of the first certificate, for people
}

// source is where a certificate comes from: two files, or none for the node's
// own.
type source struct{ certFile, keyFile string }

// loadCertificates reads the files, or gets the node's own certificate. Errors
// are one line that says what to do.
func (s *Server) loadCertificates() (*certificates, error) {
	c := &certificates{log: s.log, source: source{s.cfg.TLSCert, s.cfg.TLSKey}}
	c.origin = "of " + s.cfg.TLSCert
	c.own = func() (cert *tls.Certificate, err error) {
		cert, c.origin, err = s.ownCertificate()
		return cert, err
	}
	var err error
	c.stamp = c.source.stamp()
	c.cert, err = c.load(c.source)
	return c, err
}

func (c *certificates) load(from source) (*tls.Certificate, error) {
	if from.certFile == "" {
		return c.own()
	}
	cert, err := tls.LoadX509KeyPair(from.certFile, from.keyFile)
	if err != nil {
		return nil, fmt.Errorf("[irc] tls_cert = %q, tls_key = %q: cannot use them: %w: both must be PEM files that belong together", from.certFile, from.keyFile, err)
	}
	return &cert, nil
}

// change takes the certificate that a new configuration names. With an error
// the old one stays.
func (c *certificates) change(cfg *Config) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	next := source{cfg.TLSCert, cfg.TLSKey}
	if next == c.source {
		return nil
	}
	stamp := next.stamp()
	cert, err := c.load(next)
	if err != nil {
		return err
	}
	c.source, c.stamp, c.cert = next, stamp, cert
	c.log.Info("irc: the certificate has changed", "sha256", fingerprint(cert))
	return nil
}

// config is the TLS configuration of a listener for a protocol (ALPN). While asking says so, clients are asked
// for a certificate of theirs; it is held against fingerprints only.
func (c *certificates) config(asking func() bool, protocol string) *tls.Config {
	plain := &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{protocol},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current(), nil },
	}
	curious := plain.Clone()
	curious.ClientAuth = tls.RequestClientCert
	outer := plain.Clone()
	outer.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		if asking() {
			return curious, nil
		}
		return plain, nil
	}
	return outer
}

// asksForCertificates reports whether an operator is known by his certificate.
func (s *Server) asksForCertificates() bool {
	return slices.ContainsFunc(s.live.Load().Opers, func(o Oper) bool { return o.Certificate != "" })
}

// current is the certificate for the next client. Files that have changed are
// read; while they are no good, the last good certificate stays.
func (c *certificates) current() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	stamp := c.source.stamp()
	if stamp == c.stamp {
		return c.cert
	}
	c.stamp = stamp
	cert, err := c.load(c.source)
	if err != nil {
		c.log.Warn("irc: the changed certificate cannot be used, the last one stays", "error", err)
		return c.cert
	}
	c.cert = cert
	c.log.Info("irc: the certificate has changed", "sha256", fingerprint(c.cert))
	return c.cert
}

// stamp is a text that changes with the files; that of the node's own
// certificate is always the same.
func (s source) stamp() string {
	if s.certFile == "" {
		return ""
	}
	var b strings.Builder
	for _, name := range []string{s.certFile, s.keyFile} {
		if info, err := os.Stat(name); err == nil {
			fmt.Fprintf(&b, "%d %d;", info.ModTime().UnixNano(), info.Size())
		} else {
			b.WriteString("gone;")
		}
	}
	return b.String()
}

// fingerprint is the SHA-256 of a certificate, as clients and openssl show it.
func fingerprint(cert *tls.Certificate) string {
	sum := sha256.Sum256(cert.Certificate[0])
	return strings.ReplaceAll(fmt.Sprintf("% X", sum[:]), " ", ":")
}

// closeTime bounds the goodbye of TLS and of WebSocket.
const closeTime = time.Second

// tellPlaintext answers somebody who speaks plain IRC to a TLS port.
func tellPlaintext(err error) {
	var record tls.RecordHeaderError
	if errors.As(err, &record) && record.Conn != nil {
		record.Conn.SetWriteDeadline(time.Now().Add(closeTime))
		record.Conn.Write([]byte("ERROR :Closing link (this port speaks TLS)\r\n"))
	}
}
