package ircd

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"strings"
	"sync"
	"time"
)

// certificates is what the TLS listeners show: the user's certificate, read
// again when its files change, or one made for this run.
type certificates struct {
	certFile, keyFile string // both empty: self-signed
	log               *slog.Logger

	mu    sync.Mutex // guards what follows, also while files are read
	cert  *tls.Certificate
	stamp string // of the files that were tried last
}

// loadCertificates reads the files, or makes a certificate for name. Errors
// are one line that says what to do.
func loadCertificates(cfg *Config, now time.Time, log *slog.Logger) (*certificates, error) {
	c := &certificates{certFile: cfg.TLSCert, keyFile: cfg.TLSKey, log: log}
	if c.certFile == "" {
		cert, err := selfSigned(cfg.ServerName, now)
		if err != nil {
			return nil, fmt.Errorf("[irc] tls_listen: cannot make a certificate: %w: name one with tls_cert and tls_key", err)
		}
		c.cert = cert
		return c, nil
	}
	c.stamp = c.stampFiles()
	cert, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return nil, fmt.Errorf("[irc] tls_cert = %q, tls_key = %q: cannot use them: %w: both must be PEM files that belong together", c.certFile, c.keyFile, err)
	}
	c.cert = &cert
	return c, nil
}

// config is the TLS configuration of a listener.
func (c *certificates) config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"irc"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current(), nil },
	}
}

// current is the certificate for the next client. Files that have changed are
// read; while they are no good, the last good certificate stays.
func (c *certificates) current() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.certFile == "" {
		return c.cert
	}
	stamp := c.stampFiles()
	if stamp == c.stamp {
		return c.cert
	}
	c.stamp = stamp
	cert, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		c.log.Warn("irc: the changed certificate cannot be used, the last one stays", "error", err)
		return c.cert
	}
	c.cert = &cert
	c.log.Info("irc: the certificate has changed", "sha256", fingerprint(c.cert))
	return c.cert
}

// stampFiles is a text that changes with the files.
func (c *certificates) stampFiles() string {
	var b strings.Builder
	for _, name := range []string{c.certFile, c.keyFile} {
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

// selfSigned makes a certificate for a server name. It is for one run, since a
// front-end has no place to keep it.
func selfSigned(name string, now time.Time) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		DNSNames:     []string{name},
		NotBefore:    now.Add(-24 * time.Hour), // clocks differ
		NotAfter:     now.AddDate(10, 0, 0),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// closeTime bounds the goodbye of TLS.
const closeTime = time.Second

// closeConn closes a connection; a TLS client that does not read is not waited
// for.
func closeConn(nc net.Conn) {
	if tc, ok := nc.(*tls.Conn); ok {
		timer := time.AfterFunc(closeTime, func() { tc.NetConn().Close() })
		defer timer.Stop()
	}
	nc.Close()
}

// tellPlaintext answers somebody who speaks plain IRC to a TLS port.
func tellPlaintext(err error) {
	var record tls.RecordHeaderError
	if errors.As(err, &record) && record.Conn != nil {
		record.Conn.SetWriteDeadline(time.Now().Add(closeTime))
		record.Conn.Write([]byte("ERROR :Closing link (this port speaks TLS)\r\n"))
	}
}
