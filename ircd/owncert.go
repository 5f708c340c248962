package ircd

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

const (
	// ownFile holds the node's own certificate and its key.
	ownFile = "tls.pem"
	// ownYears is how long it is good, and ownRest what must be left of that
	// when the node starts.
	ownYears = 10
	ownRest  = 30 * 24 * time.Hour
)

// ownCertificate is the node's own certificate: the one of the last run, or
// one that is made now and kept for the next. Without a folder it is for this run
// only. origin tells a person which it is.
func (s *Server) ownCertificate() (cert *tls.Certificate, origin string, err error) {
	origin = "made for this run"
	file := filepath.Join(s.dataDir, ownFile)
	if s.dataDir != "" {
		cert, err = readOwn(file)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			origin = "new, in " + file
		case err != nil:
			origin = "new, since the old one could not be used, in " + file
			s.log.Warn("irc: the node's own certificate cannot be used, there is a new one: who pinned it must pin it again", "file", file, "error", err)
		case cert.Leaf.NotAfter.Sub(s.now()) < ownRest:
			origin = "new, since the old one was near its end, in " + file
			s.log.Warn("irc: the node's own certificate was near its end, there is a new one: who pinned it must pin it again", "file", file)
		default:
			return cert, "in " + file, nil
		}
	}
	cert, err = selfSigned(s.name, s.now())
	if err == nil && s.dataDir != "" {
		err = writeOwn(file, cert)
	}
	if err != nil {
		return nil, "", fmt.Errorf("[irc] tls_listen: cannot make a certificate: %w: name one with tls_cert and tls_key", err)
	}
	return cert, origin, nil
}

func readOwn(file string) (*tls.Certificate, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	cert, err := tls.X509KeyPair(text, text)
	return &cert, err
}

// writeOwn writes a certificate and its key into one file, whole or not at all,
// that only its owner can read.
func writeOwn(file string, cert *tls.Certificate) error {
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]})
	pem.Encode(&text, &pem.Block{Type: "PRIVATE KEY", Bytes: key})
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(file), ownFile+".*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // in vain when all went well
	_, err = f.Write(text.Bytes())
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), file)
}

// selfSigned makes a certificate for a server name.
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
		NotAfter:     now.AddDate(ownYears, 0, 0),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
