// Package history keeps what the clients of a chat sent and saw, and judges it
// afterwards, as Jepsen judges the history of a database: not by what the
// servers say of themselves, but by what came out of them.
//
// Whoever drives clients (the simulator, the demonstration, tests on real
// processes) makes one [History], tells it of every join, message, answer and
// delivery, and asks [History.Check] at the end. All times are durations on one
// clock, since the beginning of the run.
//
// It looks for what a chat must never do: lose a message that it acknowledged,
// show one twice, show what nobody sent, break the order in which one sender
// wrote, or show two clients two messages in two orders. What is allowed all
// the same stands in [Rules], and is decided by whoever made the faults, from
// the schedule of the faults and never from what came of them.
//
// It knows nothing of nodes, of IRC or of how anything is carried, starts
// nothing, and imports the standard library only.
//
// Sources: K. Kingsbury, P. Alvaro, "Elle: Inferring Isolation Anomalies from
// Experimental Observations" (VLDB 2020): histories with outcomes that nobody
// knows, and orders as graphs in which a circle is the mistake.
package history

import (
	"slices"
	"sync"
	"time"
)

// A Client is one session of one user. After each reconnect it is another one:
// what was shown to the old one is not held against the new.
type Client string

// A History is what clients sent and saw. Its methods are safe for use by many
// goroutines; what belongs to one client is told in the order in which that
// client saw it.
type History struct {
	mu       sync.Mutex
	clients  map[Client]*client
	order    []*client // as they were first heard of
	messages map[string]*message
	sent     []*message // in the order of Sent
	splits   []split
	members  []membership // in the order in which they were told
	broken   []string     // what the recorder itself did wrong
}

// A client is all that one Client did.
type client struct {
	name  Client
	at    int // its place in History.order
	stays []stay
	ended time.Duration // when its connection ended; never while it lives
	seen  []sight       // messages of others, and its own when they were acknowledged
}

// never is a time after all others.
const never time.Duration = 1<<63 - 1

// A stay is the time that a client was in a channel.
type stay struct {
	channel  string
	from, to time.Duration
}

// A sight is one message shown to one client.
type sight struct {
	m       *message
	at      time.Duration
	channel string // where it was shown; "" for an acknowledgement
	echo    bool   // an acknowledgement
}

// A message is one Send and what became of it.
type message struct {
	text    string
	channel string
	from    *client
	number  int // among all that its sender sent to its channel
	known   bool
	sent    time.Duration
	acked   []time.Duration
	refused []time.Duration
	last    time.Duration // when something was last heard of it
}

// A split is the time in which clients were cut off from each other.
type split struct {
	from, to time.Duration
	side     map[Client]int
}

// A membership is who is in a channel, as one client sees it.
type membership struct {
	by      Client
	channel string
	nicks   []string
}

// New makes an empty History.
func New() *History {
	return &History{clients: make(map[Client]*client), messages: make(map[string]*message)}
}

func (h *History) client(c Client) *client {
	x := h.clients[c]
	if x == nil {
		x = &client{name: c, at: len(h.order), ended: never}
		h.clients[c] = x
		h.order = append(h.order, x)
	}
	return x
}

// message finds the message of a text, or makes one that nobody is known to
// have sent.
func (h *History) message(text string) *message {
	m := h.messages[text]
	if m == nil {
		m = &message{text: text}
		h.messages[text] = m
	}
	return m
}

// Joined says that c's JOIN of a channel was confirmed: it must see what is sent
// and acknowledged from now on.
func (h *History) Joined(at time.Duration, c Client, channel string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	x := h.client(c)
	for _, s := range x.stays {
		if s.channel == channel && s.to == never {
			return // it is in already, and was all the time
		}
	}
	x.stays = append(x.stays, stay{channel, at, never})
}

// Left says that c parted from a channel or was kicked. With the channel "" its
// connection or its node ended, by whatever cause.
func (h *History) Left(at time.Duration, c Client, channel string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	x := h.client(c)
	if channel == "" {
		x.ended = min(x.ended, at)
	}
	for i, s := range x.stays {
		if (channel == "" || s.channel == channel) && s.to == never {
			x.stays[i].to = at
		}
	}
}

// Sent says that c sent a text to a channel. A text is sent once in a whole
// history; what c sends to one channel is told in its order.
func (h *History) Sent(at time.Duration, c Client, channel, text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	m := h.message(text)
	if m.known {
		h.broken = append(h.broken, "the recorder has the text "+quote(text)+" sent twice: texts must be unique")
		return
	}
	m.known, m.from, m.channel, m.sent = true, h.client(c), channel, at
	m.last = max(m.last, at)
	h.sent = append(h.sent, m)
}

// Acked says that c's message was acknowledged: the echo came.
func (h *History) Acked(at time.Duration, c Client, text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	m := h.message(text)
	m.acked = append(m.acked, at)
	m.last = max(m.last, at)
	x := h.client(c)
	x.seen = append(x.seen, sight{m: m, at: at, echo: true})
}

// Refused says that c was told that its message was not accepted.
func (h *History) Refused(at time.Duration, c Client, text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.client(c)
	m := h.message(text)
	m.refused = append(m.refused, at)
	m.last = max(m.last, at)
}

// Saw says that c was shown a message of another client in a channel.
func (h *History) Saw(at time.Duration, c Client, channel, text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	m := h.message(text)
	m.last = max(m.last, at)
	x := h.client(c)
	x.seen = append(x.seen, sight{m: m, at: at, channel: channel})
}

// Split says that clients were cut off from each other, from the cut until all
// that was said in between has come together again. In between one order for all
// is not asked, nor delivery to the other side. Each of sides holds
// clients that reached each other all the time; clients that are in none of
// them are one more side. Without sides no delivery at all is asked.
func (h *History) Split(from, to time.Duration, sides ...[]Client) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := split{from: from, to: to}
	if len(sides) > 0 {
		s.side = make(map[Client]int)
		for i, clients := range sides {
			for _, c := range clients {
				s.side[c] = i + 1
			}
		}
	}
	h.splits = append(h.splits, s)
}

// sent reports whether what was shown was sent, and where it was shown.
func (s sight) sent() bool { return s.m.known && (s.echo || s.channel == s.m.channel) }

// cuts reports whether two clients were on different sides of s.
func (s split) cuts(a, b Client) bool {
	return s.side == nil || s.side[a] != s.side[b]
}

// Members says whom c sees in a channel after quiet. What it said of that channel before is
// forgotten. A model of the channel may speak too, under a name of its own.
func (h *History) Members(c Client, channel string, nicks []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.members = slices.DeleteFunc(h.members, func(m membership) bool { return m.by == c && m.channel == channel })
	h.members = append(h.members, membership{c, channel, slices.Sorted(slices.Values(nicks))})
}
