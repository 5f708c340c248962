package ircd

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ircbridge/chat"
	"ircbridge/chat/chattest"
)

// onlyTLS is a configuration without plain text.
func onlyTLS(more func(*Config)) func(*Config) {
	return func(c *Config) {
		c.Listen, c.TLSListen = []string{}, []string{"127.0.0.1:0"}
		if more != nil {
			more(c)
		}
	}
}

// dialTLS connects and shakes hands; it returns the certificate's fingerprint.
func dialTLS(tb testing.TB, s *Server) (*client, string) {
	tb.Helper()
	d := &net.Dialer{Timeout: 10 * time.Second}
	nc, err := tls.DialWithDialer(d, "tcp", s.Addrs()[0].String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"irc"}})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(30 * time.Second))
	state := nc.ConnectionState()
	if state.NegotiatedProtocol != "irc" {
		tb.Errorf("ALPN is %q", state.NegotiatedProtocol)
	}
	return &client{tb, nc, bufio.NewReader(nc)}, fingerprint(&tls.Certificate{Certificate: [][]byte{state.PeerCertificates[0].Raw}})
}

// dialTLSWith connects by a configuration of the client.
func dialTLSWith(tb testing.TB, s *Server, config *tls.Config) *client {
	tb.Helper()
	nc, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", s.Addrs()[0].String(), config)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(30 * time.Second))
	return &client{tb, nc, bufio.NewReader(nc)}
}

func TestTLSWithACertificateOfItsOwn(t *testing.T) {
	s, cancel := serving(t, onlyTLS(nil))
	c, sum := dialTLS(t, s)
	c.register("al")
	c.send("JOIN #a", "PRIVMSG al :over TLS")
	c.until("PRIVMSG al :over TLS")
	hints := strings.Join(s.Hints(), "\n")
	_, port, _ := net.SplitHostPort(s.Addrs()[0].String())
	for _, want := range []string{sum, "made for this run", "/connect -tls ", " 127.0.0.1 " + port} {
		if !strings.Contains(hints, want) {
			t.Errorf("%s\nlacks %q", hints, want)
		}
	}
	if _, again := dialTLS(t, s); again != sum {
		t.Error("the certificate changes during a run")
	}
	other := listening(t, onlyTLS(nil))
	if strings.Contains(strings.Join(other.Hints(), "\n"), sum) {
		t.Error("two runs share a key")
	}
	cancel(errors.New("node stopped"))
	c.until("ERROR :Closing link (node stopped)")
	if _, err := c.r.ReadByte(); err != io.EOF {
		t.Error("TLS does not say goodbye:", err)
	}
}

// writeCertificate writes PEM files, and returns the fingerprint.
func writeCertificate(t *testing.T, certFile, keyFile string, at time.Time) string {
	t.Helper()
	cert, err := selfSigned("chat.test", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalECPrivateKey(cert.PrivateKey.(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: cert.Certificate[0]},
		keyFile:  {Type: "EC PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, at, at); err != nil {
			t.Fatal(err)
		}
	}
	return fingerprint(cert)
}

func TestTheUsersCertificateIsReadAgainWhenItChanges(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem")
	first := writeCertificate(t, certFile, keyFile, time.Unix(1000, 0))
	s, _ := serving(t, onlyTLS(func(c *Config) { c.TLSCert, c.TLSKey = certFile, keyFile }))
	hints := strings.Join(s.Hints(), "\n")
	if !strings.Contains(hints, certFile) || !strings.Contains(hints, first) || strings.Contains(hints, "notls_verify") {
		t.Error(hints)
	}
	old, sum := dialTLS(t, s)
	if sum != first {
		t.Error("another certificate is shown")
	}
	old.register("old")

	second := writeCertificate(t, certFile, keyFile, time.Unix(2000, 0))
	if _, sum := dialTLS(t, s); sum != second {
		t.Error("the new certificate is not shown")
	}
	old.send("PING still")
	old.until("PONG")

	// Half-written files change nothing.
	if err := os.WriteFile(keyFile, []byte("-----BEGIN"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, sum := dialTLS(t, s); sum != second {
		t.Error("a broken file ends the last good certificate")
	}
	if err := os.Remove(certFile); err != nil {
		t.Fatal(err)
	}
	if _, sum := dialTLS(t, s); sum != second {
		t.Error("a missing file ends the last good certificate")
	}
	third := writeCertificate(t, certFile, keyFile, time.Unix(3000, 0))
	if _, sum := dialTLS(t, s); sum != third {
		t.Error("files that are good again are not read")
	}
}

func TestTLSConfigIsRefusedInOneLineWithTheRemedy(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile, otherKey := filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem"), filepath.Join(dir, "o.pem")
	writeCertificate(t, filepath.Join(dir, "x.pem"), otherKey, time.Unix(1000, 0))
	writeCertificate(t, certFile, keyFile, time.Unix(1000, 0))
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for name, test := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"key alone":  {func(c *Config) { c.TLSKey = keyFile }, "tls_cert and tls_key"},
		"cert alone": {func(c *Config) { c.TLSCert = certFile }, "tls_cert and tls_key"},
		"no address": {func(c *Config) { c.TLSListen, c.Listen, c.TLSCert, c.TLSKey = nil, nil, certFile, keyFile }, "tls_listen"},
		"no port":    {func(c *Config) { c.TLSListen = []string{"0.0.0.0"} }, "HOST:PORT"},
		"no file":    {func(c *Config) { c.TLSCert, c.TLSKey = "/nowhere/c.pem", keyFile }, "/nowhere/c.pem"},
		"no match":   {func(c *Config) { c.TLSCert, c.TLSKey = certFile, otherKey }, "belong together"},
		"busy":       {func(c *Config) { c.TLSListen = []string{taken.Addr().String()} }, "choose another"},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := New(chat.Setup{Service: chattest.NewService(chattest.Options{}), Decode: decoded(onlyTLS(test.change))})
			if err == nil {
				err = f.Listen()
			}
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "[irc]") || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v: does not say %q", err, test.want)
			}
		})
	}
}

// Plain text stays on this machine; TLS may be open to all.
func TestTLSMayBeReachedFromElsewhere(t *testing.T) {
	cfg := defaultConfig()
	cfg.ServerName, cfg.TLSListen = "irc.test", []string{":6697", "0.0.0.0:6698"}
	if err := cfg.check(); err != nil {
		t.Error(err)
	}
	cfg.Listen = []string{"0.0.0.0:6667"}
	if err := cfg.check(); err == nil {
		t.Error("TLS beside it makes plain text no safer")
	}
}

func TestPlainTextAndSilenceAtATLSPort(t *testing.T) {
	s, _ := serving(t, onlyTLS(func(c *Config) { c.Limits.Registration, c.Limits.MaxConnections = 2*time.Second, 3 }))
	plain := dial(t, s)
	plain.send("NICK al", "USER al 0 * :al")
	plain.until("ERROR :Closing link (this port speaks TLS)")
	if _, err := plain.r.ReadByte(); err == nil {
		t.Error("more comes than the error")
	}
	silent := dial(t, s)
	talker, _ := dialTLS(t, s)
	talker.register("talker")
	third, _ := dialTLS(t, s)
	third.register("third")
	over, _ := dialTLS(t, s)
	over.until("ERROR :Too many connections")
	start := time.Now()
	if _, err := dial(t, s).r.ReadByte(); err == nil || time.Since(start) > 20*time.Second {
		t.Error("one over the limit that does not shake hands stays:", err)
	}
	if _, err := silent.r.ReadByte(); err == nil {
		t.Error("one that does not shake hands gets something")
	} // closed: Registration ended it
	dial(t, s).Write([]byte("\x16\x03\x01\x00"))
	talker.send("PING x")
	talker.until("PONG")
}
