// Package control is how the programs of one user ask a node that runs: over a
// Unix socket in the node's data directory, one JSON value for a request and
// one for its reply, each a line of its own. It knows nothing of what is asked.
//
// The socket is open to its owner only (0600, in a directory of 0700). A
// request has at most MaxRequest bytes and a reply MaxReply; a client that
// says nothing, or takes no reply, is cut off after Silence; at most
// maxClients are served at a time, and further ones wait.
//
// Time and concurrency: Listen starts nothing. Serve blocks, owns one
// goroutine for each client, and returns when the last of them is gone.
package control

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Limits of the protocol.
const (
	MaxRequest = 4 << 10 // bytes of a request, with the end of its line
	MaxReply   = 4 << 20 // bytes of a reply, with the end of its line
	// Silence is the time that a client has for each request, and for taking
	// the reply to it.
	Silence    = 5 * time.Second
	maxClients = 16
)

// socketName is the socket in the data directory.
const socketName = "control.sock"

// pathName is a file in the data directory that names the socket when it
// could not be there.
const pathName = "control.path"

// maxPath is how long the path of a Unix socket may be: macOS and the BSDs
// have room for 104 bytes, Linux and Windows for 108, the final NUL included.
const maxPath = 103

// ErrNobody says that nobody answers on a data directory.
var ErrNobody = errors.New("no node answers")

// place is where the socket of a new server goes. A data directory with a path
// too long for a socket has it in a directory of its own among the temporary
// files, and says so in pathName.
func place(dataDir string) (path string, err error) {
	if path := filepath.Join(dataDir, socketName); len(path) <= maxPath {
		return path, nil
	}
	short, err := os.MkdirTemp("", tempPrefix) // 0700
	if err != nil {
		return "", err
	}
	path = filepath.Join(short, socketName)
	if len(path) > maxPath {
		return "", errors.Join(errors.New("the paths of the data directory and of the directory for temporary files are both too long for a Unix socket"), os.Remove(short))
	}
	if err := os.WriteFile(filepath.Join(dataDir, pathName), []byte(path+"\n"), 0o600); err != nil {
		return "", errors.Join(err, os.Remove(short))
	}
	return path, nil
}

const tempPrefix = "ircbridge-"

// locate is where a server on the data directory listens, if one does.
func locate(dataDir string) string {
	if path, ok := elsewhere(dataDir); ok {
		return path
	}
	return filepath.Join(dataDir, socketName)
}

// elsewhere is the socket that pathName names, if its content has the form
// that place gives it.
func elsewhere(dataDir string) (path string, ok bool) {
	text, err := os.ReadFile(filepath.Join(dataDir, pathName))
	path = strings.TrimSuffix(string(text), "\n")
	ok = err == nil && len(path) <= maxPath && filepath.IsAbs(path) && filepath.Base(path) == socketName &&
		strings.HasPrefix(filepath.Base(filepath.Dir(path)), tempPrefix)
	return path, ok
}

// clear removes what a server that was killed left behind. The caller holds
// the data directory's lock, so none of it is in use.
func clear(dataDir string) {
	if path, ok := elsewhere(dataDir); ok {
		_ = os.Remove(path)
		_ = os.Remove(filepath.Dir(path)) // refused unless empty
	}
	_ = os.Remove(filepath.Join(dataDir, pathName))
	_ = os.Remove(filepath.Join(dataDir, socketName))
}
