package demo

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// ChildCommand is the word after the program's name that makes it a child of
// the demonstration. No help lists it: it is of no use to a person.
const ChildCommand = "demo-node"

// OverlayPrefix is how the name of a demonstration's overlay begins. A child
// refuses any other, so that what it may be told reaches no ordinary node.
const OverlayPrefix = "demo-"

// dirPrefix is how the name of a demonstration's directory begins.
const dirPrefix = "ircbridge-demo-"

// order is what the demonstration tells a child, in a line of JSON.
type order struct {
	// Sever names the peers beyond the cut; none mends it.
	Sever []string `json:"sever"`
}

// answer is what a child tells the demonstration, in a line of JSON: that it is
// ready, once; then what became of each order.
type answer struct {
	Ready *Ready `json:"ready,omitempty"`
	Error string `json:"error,omitempty"` // of an order; "": done
}

// Ready is where a child is reached, and under which names.
type Ready struct {
	ID      string `json:"id"`      // on the ring
	Peer    string `json:"peer"`    // libp2p peer ID
	Overlay string `json:"overlay"` // HOST:PORT for nodes
	IRC     string `json:"irc"`     // HOST:PORT for clients
}

// Child is a child's end of what it has with the demonstration.
type Child struct {
	// In and Out are its standard input and output.
	In  io.Reader
	Out io.Writer
	// Sever cuts the network between this node and the peers named.
	Sever func(peers []string) error

	mu sync.Mutex // one line after the other to Out
}

// Ready tells that the node serves.
func (c *Child) Ready(r Ready) error { return c.tell(answer{Ready: &r}) }

func (c *Child) tell(a answer) error {
	text, err := json.Marshal(a)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err = c.Out.Write(append(text, '\n'))
	return err
}

// Obey does what it is told until In ends: the demonstration is over, or has
// died. The node has no more reason to live then.
func (c *Child) Obey() {
	lines := bufio.NewScanner(c.In)
	lines.Buffer(nil, 64<<10)
	for lines.Scan() {
		var o order
		err := json.Unmarshal(lines.Bytes(), &o)
		if err == nil {
			err = c.Sever(o.Sever)
		}
		var a answer
		if err != nil {
			a.Error = err.Error()
		}
		if c.tell(a) != nil {
			return
		}
	}
}

// Sweep removes the directory of a whole demonstration, given the data
// directory of one of its nodes. Children whose parent died call it: the last one
// takes all with it, the files of those that had been killed too.
func Sweep(dataDir string) error {
	all := filepath.Dir(dataDir)
	if !strings.HasPrefix(filepath.Base(all), dirPrefix) {
		return fmt.Errorf("%s is no directory of a demonstration", all)
	}
	return os.RemoveAll(all)
}

// CheckOverlay refuses an overlay that is no demonstration's.
func CheckOverlay(name string) error {
	if !strings.HasPrefix(name, OverlayPrefix) {
		return errors.New(ChildCommand + " is a part of the demonstration; for a node: ircbridge run, for the demonstration: ircbridge demo")
	}
	return nil
}
