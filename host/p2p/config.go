package p2p

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ircbridge/host"
)

// Config says what a Host is made of.
type Config struct {
	// DataDir is the directory of the key file and the database; it is made,
	// with mode 0700, if it is absent. Empty: Key and MemoryStore must be given.
	DataDir string
	// Key is the node's identity. Nil: it is loaded from DataDir, and
	// made at the first start (see Identity).
	Key ed25519.PrivateKey
	// Overlay is the name of the overlay, 1 to 64 bytes. Nodes of another name
	// are refused, and refuse this one. Empty: "default".
	Overlay string
	// Listen is where other nodes may reach this one, each IP:PORT, served over
	// TCP and QUIC (UDP) on the same port. Port 0 lets the system choose one that
	// is free for both. 0.0.0.0 stands for all interfaces with IPv4, [::] for all
	// with IPv6; both may be given, with one port. Empty: the node is reached by
	// nobody, and only dials.
	Listen []string
	// Abilities are named to each peer in the handshake: at most 64 of 1 to 64
	// bytes. They are for later versions to find out what the other side can do.
	Abilities []string
	// Version is the program's name and version, told to peers for their logs,
	// at most 64 bytes. Empty: "ircbridge".
	Version string
	// Log takes the log. Nil: nothing is logged.
	Log *slog.Logger
	// StorePath is the database file. Empty: store.db in DataDir.
	StorePath string
	// MemoryStore keeps the store in memory only and touches no database
	// file; what is in it is lost at Close. Meant for tests and trials.
	MemoryStore bool
	// PortMap asks the local router (UPnP, NAT-PMP) to forward the listening
	// ports. It costs some goroutines and, at the start, packets to the local network.
	PortMap bool
	// OpenPeers is how many links stay open beside the kept ones (Host.Keep):
	// above it those that were longest without use are closed. Zero: 128.
	OpenPeers int
	// MaxPeers bounds the nodes connected at a time; more are refused with a
	// message. Zero: 1024.
	MaxPeers int
}

func (c Config) checked() (Config, error) {
	if c.Overlay == "" {
		c.Overlay = "default"
	}
	if c.Version == "" {
		c.Version = "ircbridge"
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.MaxPeers == 0 {
		c.MaxPeers = 1024
	}
	if c.OpenPeers == 0 {
		c.OpenPeers = 128
	}
	if c.StorePath == "" && c.DataDir != "" {
		c.StorePath = filepath.Join(c.DataDir, "store.db")
	}
	switch {
	case len(c.Overlay) > maxName || !printable(c.Overlay):
		return c, fmt.Errorf("overlay name %q: want 1 to %d printable bytes", c.Overlay, maxName)
	case len(c.Version) > maxName || !printable(c.Version):
		return c, fmt.Errorf("program version %q: want at most %d printable bytes", c.Version, maxName)
	case len(c.Abilities) > maxAbilities:
		return c, fmt.Errorf("%d abilities: at most %d", len(c.Abilities), maxAbilities)
	case slices.ContainsFunc(c.Abilities, func(a string) bool { return a == "" || len(a) > maxName || !printable(a) }):
		return c, fmt.Errorf("abilities %q: want each of 1 to %d printable bytes", c.Abilities, maxName)
	case c.Key != nil && len(c.Key) != ed25519.PrivateKeySize:
		return c, fmt.Errorf("identity: an Ed25519 key has %d bytes, not %d", ed25519.PrivateKeySize, len(c.Key))
	case c.Key == nil && c.DataDir == "":
		return c, errors.New("neither a data directory nor a key was given")
	case c.StorePath == "" && !c.MemoryStore:
		return c, errors.New("neither a data directory nor a store path was given")
	case c.MaxPeers < 0 || c.OpenPeers < 0:
		return c, fmt.Errorf("MaxPeers is %d, OpenPeers %d: want positive numbers", c.MaxPeers, c.OpenPeers)
	}
	for _, a := range c.Listen {
		if _, err := parseListen(a); err != nil {
			return c, err
		}
	}
	return c, nil
}

func printable(s string) bool {
	return strings.ToValidUTF8(s, "") == s && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// What a Hello may contain; a peer that says more is cut off.
const (
	maxHello     = 16 << 10 // bytes of the whole frame
	maxName      = 64       // bytes of a name, a version, an ability
	maxAbilities = 64
	maxAddrs     = 16
	maxAddrLen   = 128
	maxErrorText = 1024 // bytes of a refused request's text
)

// cleanText makes text from a peer, or for one, fit for a log: valid UTF-8
// of at most max bytes on one line.
func cleanText(s string, max int) string {
	if len(s) > max {
		s = s[:max]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, ""))
}

// frameMargin is what a frame has beside its body.
const frameMargin = 2 << 10

// limits are the bounds and times of one host. They are a struct so that
// tests can bring them near.
type limits struct {
	queueBytes, queueFrames    int // of the request queue of one link
	bulkBytes, bulkFrames      int // of the bulk queue of one link
	waitingBytes, waitingNotes int // queued for a peer that is being dialled
	runningPeer, running       int32
	greets, greetsPeer         int           // inbound handshakes at a time, of all and of one peer
	greet                      time.Duration // for the whole handshake
	dial                       time.Duration // to reach a peer, handshake included
	tcpAlone                   time.Duration // TCP is tried so long before QUIC
	dialStep                   time.Duration // from one address to the next
	learn                      time.Duration // at most, to learn who answers at an address
	rival                      time.Duration // a run whose link stands must answer when another one comes
	crossed                    time.Duration // until the link that crossed ours must be there
	stall                      time.Duration // a peer that takes or finishes no frame so long is cut off
	silence                    time.Duration // a link may give no sign of life so long while its peer answers elsewhere
	elsewhere                  time.Duration // for a handshake that finds out whether it does
	reply                      time.Duration // a reply may wait so long for the queue
	tidyEvery, unused          time.Duration // connections are looked through; one may carry nothing so long
	part                       time.Duration // for the end of a link in order
	moveAgain                  time.Duration // a link stays over QUIC so long before TCP is tried again
	drain, closing             time.Duration // Close lets the peers read what was sent; waits for tasks
	addrsFor                   time.Duration // addresses of a peer are remembered
}

func defaultLimits() limits {
	return limits{
		queueBytes: 2 << 20, queueFrames: 8192,
		bulkBytes: 2*host.MaxBulk + 2*frameMargin, bulkFrames: 256,
		waitingBytes: 512 << 10, waitingNotes: 1024,
		runningPeer: 512, running: 4096,
		greets: 1024, greetsPeer: 4,
		greet:     10 * time.Second,
		dial:      15 * time.Second,
		tidyEvery: 10 * time.Second, unused: 30 * time.Second,
		tcpAlone: 3 * time.Second,
		crossed:  5 * time.Second,
		rival:    time.Second,
		stall:    30 * time.Second,
		silence:  time.Second, elsewhere: 2 * time.Second,
		reply: 30 * time.Second,
		part:  5 * time.Second, moveAgain: 10 * time.Minute,
		drain: time.Second, closing: 5 * time.Second,
		learn:    10 * time.Second,
		dialStep: 50 * time.Millisecond, addrsFor: time.Hour,
	}
}
