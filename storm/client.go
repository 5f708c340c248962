package storm

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// client is one connection, and what it must know to judge what it is shown.
type client struct {
	name string // for people
	nc   net.Conn
	fail func(error)
	log  func(line string) // may be nil
	// tasks are what is done beside the reading, for all clients; the reader itself is one of
	// them.
	tasks *sync.WaitGroup

	mu      sync.Mutex
	moved   *sync.Cond
	nick    string // "" before it is let in
	joined  map[string]bool
	topics  map[string]string            // of channels, as they were shown last, asked for or not
	asked   bool                         // what it was shown is asked for, to compare
	modes   map[string]map[string]string // of channels, as they were shown last (learnModes)
	members map[string]*members          // of channels, as they were shown
	asks    bool                         // it is not told who is there when it comes; what it asks for may be ahead of what it is shown
	online  map[string]bool              // nicks that it monitors, by folded nick, as it was told last
	heard   map[string]int               // roll calls
	closed  bool                         // the connection has ended
	ending  bool                         // and it was to be expected
	batches map[string]string            // open ones, with their kind
	labels  map[string]*answer
	byBatch map[string]*answer
	seen    map[string]bool // IDs of messages
	lastID  string          // of the last one

	multiPrefix bool // it is shown all signs of members

	offered []string // capabilities
	last    []string // the last lines, for people
	count   Count
}

// answer is what came for a label.
type answer struct {
	lines []message
	whole bool
	batch string // in which it comes, if it is one
}

func newClient(name string, nc net.Conn, fail func(error), tasks *sync.WaitGroup) *client {
	c := &client{
		name: name, nc: nc, fail: fail, tasks: tasks,
		joined: map[string]bool{}, topics: map[string]string{}, members: map[string]*members{}, heard: map[string]int{}, online: map[string]bool{}, modes: map[string]map[string]string{}, batches: map[string]string{}, labels: map[string]*answer{}, byBatch: map[string]*answer{}, seen: map[string]bool{},
	}
	c.moved = sync.NewCond(&c.mu)
	return c
}

// read takes lines until the connection ends.
func (c *client) read() {
	r := bufio.NewReader(c.nc)
	for {
		line, err := r.ReadString('\n')
		c.mu.Lock()
		if err != nil {
			if c.closed = true; !c.ending && !errors.Is(err, ErrLost) {
				c.wrong("the connection has ended: %v", err)
			}
			c.moved.Broadcast()
			c.mu.Unlock()
			return
		}
		c.noteLine("< " + strings.TrimSpace(line))
		c.count.Shown++
		c.judgeForm(line)
		c.judge(parse(strings.TrimSuffix(line, "\r\n")))
		c.moved.Broadcast()
		c.mu.Unlock()
	}
}

// noteLine keeps a line for people. The lock is held.
func (c *client) noteLine(line string) {
	c.last = append(c.last[max(0, len(c.last)-30):], line)
	if c.log != nil {
		c.log(c.name + " " + line)
	}
}

// wrong reports what must not be. The lock is held.
func (c *client) wrong(format string, args ...any) {
	c.fail(fmt.Errorf("%s (%s): %s\n\t%s", c.name, c.nick, fmt.Sprintf(format, args...), strings.Join(c.last, "\n\t")))
}

// gone reports whether the connection has ended, or will at once.
func (c *client) gone() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed || c.ending
}

func (c *client) send(line string) {
	c.mu.Lock()
	c.noteLine("> " + line)
	c.count.Commands++
	c.mu.Unlock()
	c.nc.SetWriteDeadline(time.Now().Add(patience))
	_, _ = io.WriteString(c.nc, line+"\r\n") // a connection that has ended shows in what is read
}

// await waits until cond, which is called with the lock held.
func (c *client) await(what string, cond func() bool) error {
	late := false
	timer := time.AfterFunc(patience, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		late = true
		c.moved.Broadcast()
	})
	defer timer.Stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	for !cond() && !c.closed && !late {
		c.moved.Wait()
	}
	if !cond() && !c.closed {
		c.wrong("after %v still not: %s", patience, what)
		return errors.New(what)
	}
	return nil
}

// judgeForm holds a line against the limits of RFC 2812 and of message tags.
func (c *client) judgeForm(line string) {
	body := line
	if strings.HasPrefix(line, "@") {
		var tags string
		tags, body, _ = strings.Cut(line, " ")
		if len(tags) > 8190 {
			c.wrong("%d bytes of tags", len(tags))
		}
	}
	if len(body) > 512 || !strings.HasSuffix(body, "\r\n") || strings.ContainsAny(body[:len(body)-2], "\r\n\x00") {
		c.wrong("not a line: %d bytes, %q", len(body), body)
	}
	if !utf8.ValidString(line) {
		c.wrong("not UTF-8: %q", line)
	}
}

// judge holds a line against what is known, and learns from it.
func (c *client) judge(m message) {
	answers := c.judgeBatch(m)
	own := m.nick != "" && fold(m.nick) == fold(c.nick)
	switch m.command {
	case "001":
		c.nick = m.param(0)
	case "ERROR":
		if text := m.param(0); !strings.Contains(text, "Killed (") && !strings.Contains(text, "(Quit") && !strings.Contains(text, "you did not answer a PING") {
			c.wrong("it is sent away")
		}
		c.ending = true
	case "PING":
		c.tasks.Go(func() { c.send("PONG :" + m.param(0)) })
	case "CAP":
		list := strings.Fields(m.params[len(m.params)-1])
		switch m.param(1) {
		case "LS":
			c.offered = append(c.offered, list...)
		case "ACK":
			c.asks = c.asks || slices.ContainsFunc(list, func(name string) bool { return strings.HasSuffix(name, "no-implicit-names") })
			c.multiPrefix = c.multiPrefix || slices.Contains(list, "multi-prefix")
		}
	case "NICK":
		if own {
			c.nick = m.param(0)
		}
	case "PRIVMSG":
		if text := m.param(1); strings.HasPrefix(text, rollCall) && !own {
			c.heard[text]++
		}
	case "730", "731":
		if !c.asked || !answers {
			c.learnOnline(m)
		}
	case "FAIL":
		if m.param(1) == "INTERNAL_ERROR" {
			c.wrong("the server says that it has a defect")
		}
	case "JOIN":
		if own {
			if !c.asks {
				c.members[fold(m.param(0))] = &members{}
			}
			c.joined[fold(m.param(0))] = true
			delete(c.topics, fold(m.param(0)))
			c.modes[fold(m.param(0))] = map[string]string{}
		}
	case "MODE":
		c.learnModes(m)
	case "TOPIC":
		c.topics[fold(m.param(0))] = m.param(1)
	case "332":
		if !c.asked {
			c.topics[fold(m.param(1))] = m.param(2)
		}
	}
	c.learnMembers(m, own)
	c.judgePlace(m, own || m.command == "METADATA" && answers) // which anybody may ask for
	switch {
	case m.command == "PART" && own, m.command == "KICK" && fold(m.param(1)) == fold(c.nick):
		delete(c.joined, fold(m.param(0)))
		delete(c.members, fold(m.param(0)))
	case m.command == "RENAME":
		delete(c.joined, fold(m.param(0)))
		c.joined[fold(m.param(1))] = true
		c.topics[fold(m.param(1))] = c.topics[fold(m.param(0))]
		c.modes[fold(m.param(1))] = c.modes[fold(m.param(0))]
		c.members[fold(m.param(1))] = c.members[fold(m.param(0))]
		delete(c.members, fold(m.param(0)))
	}
}

// judgePlace asks whether the client may be shown what happens in a channel.
func (c *client) judgePlace(m message, own bool) {
	if !slices.Contains([]string{"PRIVMSG", "NOTICE", "TAGMSG", "REDACT", "JOIN", "PART", "KICK", "MODE", "TOPIC", "RENAME", "METADATA"}, m.command) {
		return
	}
	target := strings.TrimLeft(m.param(0), signs)
	if strings.HasPrefix(target, "#") && !own && !c.joined[fold(target)] {
		c.wrong("it is not on %s, and is shown %s", target, m.command)
	}
	if id := m.tags["msgid"]; id != "" && !own {
		if c.seen[id] {
			c.wrong("the message %s comes twice", id)
		}
		c.seen[id] = true
	}
	if id := m.tags["msgid"]; id != "" {
		c.lastID = id
	}
}

// judgeBatch keeps account of batches and of answers to labels. It reports whether a line answers what
// the client has asked.
func (c *client) judgeBatch(m message) (answers bool) {
	ref, inBatch := m.tags["batch"]
	if inBatch {
		if _, open := c.batches[ref]; !open {
			c.wrong("no batch %s is open", ref)
		}
	}
	a := c.byBatch[ref]
	if label, ok := m.tags["label"]; ok {
		if a = c.labels[label]; a == nil || a.whole || len(a.lines) > 0 {
			c.wrong("the label %s is answered, and it was not asked or has been answered", label)
			return false
		}
		if a.whole = m.command != "BATCH"; !a.whole {
			a.batch = strings.TrimPrefix(m.param(0), "+")
		}
	}
	if a != nil {
		a.lines = append(a.lines, m)
	}
	if m.command != "BATCH" {
		return a != nil
	}
	name := m.param(0)
	switch {
	case strings.HasPrefix(name, "+"):
		if c.batches[name[1:]] != "" {
			c.wrong("the batch %s is opened twice", name)
		}
		c.batches[name[1:]] = m.param(1)
		if a != nil {
			c.byBatch[name[1:]] = a
		}
	case strings.HasPrefix(name, "-") && c.batches[name[1:]] != "":
		if a := c.byBatch[name[1:]]; a != nil && a.batch == name[1:] {
			a.whole = true
		}
		delete(c.batches, name[1:])
		delete(c.byBatch, name[1:])
	default:
		c.wrong("no such batch: %s", name)
	}
	return a != nil
}
