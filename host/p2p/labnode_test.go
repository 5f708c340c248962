package p2p

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"ircbridge/host"
)

// labNode is a node in a process of its own, which does what a test tells it
// by lines on its standard input, and answers each with a line.
type labNode struct {
	t      *testing.T
	in     io.WriteCloser
	out    *bufio.Reader
	stderr *records
	log    string // its log file
	self   host.Peer
}

// labConfig goes to the process in its environment.
type labConfig struct {
	Overlay string
	Listen  []string
	Log     string
	// TCPAlone replaces that limit, if it is not zero.
	TCPAlone time.Duration
}

type labAnswer struct {
	Err   string
	Peer  host.Peer
	Over  []string // the addresses of the connections to that peer
	Count int      // nodes of a crowd that all were connected in the end
	Again []string // why nodes of a crowd had to dial again
}

const labVariable = "IRCBRIDGE_TEST_LAB_NODE"

// startLabNode runs a node under a command such as "ip netns exec NAME".
func startLabNode(t *testing.T, under []string, env []string, cfg labConfig) *labNode {
	t.Helper()
	cfg.Log = t.TempDir() + "/log"
	raw, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	words := append(append([]string{}, under...), os.Args[0])
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Env = append(append(os.Environ(), env...), labVariable+"="+string(raw))
	n := &labNode{t: t, stderr: new(records), log: cfg.Log}
	cmd.Stderr = n.stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	n.out = bufio.NewReader(out)
	if n.in, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	stop := func() {
		once.Do(func() {
			_ = n.in.Close()
			kill := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
			defer kill.Stop()
			_, _ = io.Copy(io.Discard, n.out)
			if err := cmd.Wait(); err != nil {
				t.Errorf("a node's process: %v; it said %q", err, n.stderr)
			}
		})
	}
	t.Cleanup(func() {
		stop()
		if t.Failed() {
			log, _ := os.ReadFile(n.log)
			t.Logf("log of %v:\n%s", n.self.ID, log)
		}
	})
	n.self = n.answer().Peer
	return n
}

func (n *labNode) answer() (a labAnswer) {
	n.t.Helper()
	line, err := n.out.ReadString('\n')
	if err == nil {
		err = json.Unmarshal([]byte(line), &a)
	}
	if err != nil {
		n.t.Fatalf("a node's process answered %q, %v; it said %q", line, err, n.stderr)
	}
	if a.Peer.ID, err = host.ParsePeerID(string(a.Peer.ID)); err != nil && a.Err == "" {
		n.t.Fatalf("a node's process answered %q: %v", line, err)
	}
	return a
}

// do tells the node a command and returns its answer; an error in it ends the test.
func (n *labNode) do(words ...string) labAnswer {
	n.t.Helper()
	a := n.try(words...)
	if a.Err != "" {
		n.t.Fatalf("%v: %s", words, a.Err)
	}
	return a
}

// try is do for what may fail.
func (n *labNode) try(words ...string) labAnswer {
	n.t.Helper()
	if _, err := fmt.Fprintln(n.in, strings.Join(words, " ")); err != nil {
		n.t.Fatal(err)
	}
	return n.answer()
}

// runLabNode is the process of a labNode.
func runLabNode() error {
	var cfg labConfig
	if err := json.Unmarshal([]byte(os.Getenv(labVariable)), &cfg); err != nil {
		return err
	}
	log, err := os.Create(cfg.Log)
	if err != nil {
		return err
	}
	h, err := labHost(cfg, slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	if err != nil {
		return err
	}
	reply := func(a labAnswer) {
		if a.Peer.ID == "" {
			a.Peer = h.Self()
		}
		for _, c := range h.libp2p().Network().ConnsToPeer(peer.ID(a.Peer.ID)) {
			a.Over = append(a.Over, c.RemoteMultiaddr().String())
		}
		a.Peer.ID = host.PeerID(a.Peer.ID.String())
		_ = json.NewEncoder(os.Stdout).Encode(a)
	}
	reply(labAnswer{})
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		a, err := labCommand(h, cfg, strings.Fields(lines.Text()))
		if err != nil {
			a.Err = err.Error()
		}
		reply(a)
	}
	return h.Close()
}

func labHost(cfg labConfig, log *slog.Logger) (*Host, error) {
	key, err := Identity(cfg.Log + ".data")
	if err != nil {
		return nil, err
	}
	h, err := New(Config{Key: key, Overlay: cfg.Overlay, Listen: cfg.Listen, MemoryStore: true, Log: log})
	if err != nil {
		return nil, err
	}
	if cfg.TCPAlone != 0 {
		h.limits.tcpAlone = cfg.TCPAlone
		h.limits.dial, h.limits.learn = h.limits.dial+cfg.TCPAlone, h.limits.learn+cfg.TCPAlone
	}
	h.HandleCall(mEcho, func(_ host.Peer, req []byte) ([]byte, error) { return req, nil })
	return h, h.Start()
}

func labCommand(h *Host, cfg labConfig, words []string) (a labAnswer, err error) {
	end := time.Now().Add(patience)
	switch words[0] {
	case "self":
	case "dial": // ADDRESS
		if a.Peer, err = h.Dial(words[1], patience); err == nil {
			_, err = h.Call(a.Peer, mEcho, nil, patience)
		}
	case "call": // ID ADDRESS…
		a.Peer.Addrs = words[2:]
		if a.Peer.ID, err = host.ParsePeerID(words[1]); err == nil {
			_, err = h.Call(a.Peer, mEcho, nil, patience)
		}
	case "cut": // ID: its connections are lost
		if a.Peer.ID, err = host.ParsePeerID(words[1]); err == nil {
			err = h.libp2p().Network().ClosePeer(peer.ID(a.Peer.ID))
		}
		for err == nil && time.Now().Before(end) {
			if _, up := h.PeerRun(a.Peer.ID); !up {
				break
			}
			err = h.Sleep(time.Millisecond)
		}
	case "link": // ID: over what it is connected
		a.Peer.ID, err = host.ParsePeerID(words[1])
	case "discover":
		err = h.Discover(func(p host.Peer) { labFound.Store(p.ID, p) })
	case "found": // ID: waits until that node was found
		if a.Peer.ID, err = host.ParsePeerID(words[1]); err == nil {
			err = errors.New("not found")
		}
		for err != nil && time.Now().Before(end) && h.ctx.Err() == nil {
			if p, ok := labFound.Load(a.Peer.ID); ok {
				a.Peer, err = p.(host.Peer), nil
				break
			}
			_ = h.Sleep(time.Millisecond)
		}
		labFound.Range(func(any, any) bool { a.Count++; return true })
	case "crowd": // NUMBER ADDRESS: as many more nodes call it at once, and stay
		var number int
		if number, err = strconv.Atoi(words[1]); err == nil {
			a, err = labCrowd(cfg, number, words[2])
		}
	default:
		err = fmt.Errorf("unknown command %q", words)
	}
	return a, err
}

// labFound are the peers that this process's Discover told of.
var labFound sync.Map

// crowdPatience is what thirty nodes on a very slow machine may need.
const crowdPatience = 3 * time.Minute

// labCrowd starts nodes that dial one address at the same time, and again if
// they are turned away.
func labCrowd(cfg labConfig, number int, addr string) (a labAnswer, err error) {
	hosts := make([]*Host, number)
	for i := range hosts {
		cfg := cfg
		cfg.Log = fmt.Sprintf("%s.%d", cfg.Log, i)
		cfg.Listen = []string{"0.0.0.0:0"}
		h, err := labHost(cfg, nil)
		if err != nil {
			return a, err
		}
		defer func() { _ = h.Close() }()
		hosts[i] = h
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	end := time.Now().Add(crowdPatience)
	for i, h := range hosts {
		wg.Go(func() {
			for time.Now().Before(end) {
				p, e := h.Dial(addr, crowdPatience)
				if e == nil {
					_, e = h.Call(p, mEcho, nil, crowdPatience)
				}
				if e == nil {
					return
				}
				mu.Lock()
				a.Again = append(a.Again, fmt.Sprintf("node %d: %v", i, e))
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for _, h := range hosts {
		a.Count += len(h.libp2p().Network().Peers())
	}
	return a, nil
}
