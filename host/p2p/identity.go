package p2p

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

const keyFile = "node.key"

// Identity loads the node's Ed25519 key from dataDir/node.key (PKCS #8 in PEM,
// mode 0600), or makes directory and key at the first start. A key that cannot
// be read, that others may read, or that is damaged is an error with the remedy.
func Identity(dataDir string) (ed25519.PrivateKey, error) {
	if err := os.MkdirAll(dataDir, 0o700); err != nil {
		return nil, fmt.Errorf("data directory %s cannot be made: %w", dataDir, err)
	}
	path := filepath.Join(dataDir, keyFile)
	key, err := readKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if err := makeKey(dataDir, path); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("identity %s cannot be made: %w", path, err)
	}
	return readKey(path) // what is there now counts, also if another process made it
}

func readKey(path string) (ed25519.PrivateKey, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("identity cannot be read: %w", err)
	}
	switch {
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("identity %s is no regular file", path)
	case runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("identity %s may be read by others (mode %04o): chmod 600 %[1]s", path, info.Mode().Perm())
	case info.Size() > 4096:
		return nil, fmt.Errorf("identity %s is damaged: %d bytes are too many for a key", path, info.Size())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("identity cannot be read: %w", err)
	}
	const remedy = "restore it from a copy, or move it away to get a new identity"
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, fmt.Errorf("identity %s is damaged (no PEM block PRIVATE KEY): %s", path, remedy)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("identity %s is damaged (%w): %s", path, err, remedy)
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("identity %s is a %T, not an Ed25519 key: %s", path, parsed, remedy)
	}
	return key, nil
}

// makeKey writes a new key beside path and links it there, so that no half
// key is ever seen under that name and none is overwritten.
func makeKey(dir, path string) error {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, keyFile+".*") // 0600 by its contract
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	return os.Rename(f.Name(), path) // a file system without hard links
}
