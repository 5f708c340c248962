package demo

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	irc "gopkg.in/irc.v4"

	"ircbridge/history"
)

// session is one connection of a bot to its node. In the history it is a
// client of its own: what the bot was shown before it is not held against it.
//
// With echo-message a client is shown its own message when it was accepted, with
// labeled-response it knows which one that was, or which one was refused.
type session struct {
	bot    *bot
	client history.Client
	conn   net.Conn
	r      *bufio.Reader

	mu      sync.Mutex
	joined  []string
	asked   map[string]time.Time // by channel: when it was last tried to join
	waiting map[string]string    // by label: text of a message without an answer
	batches map[string]string    // by reference: label
	queries map[string]*query    // by command and channel
	labels  int
	over    bool
}

// query is a question to the server, and what it has answered so far.
type query struct {
	found []string
	done  chan struct{} // closed when it has answered, or the session has ended
}

const capabilities = "batch echo-message labeled-response message-tags standard-replies"

func newSession(b *bot, conn net.Conn, client history.Client) *session {
	return &session{
		bot: b, client: client, conn: conn, r: bufio.NewReader(conn),
		asked: map[string]time.Time{}, waiting: map[string]string{}, batches: map[string]string{}, queries: map[string]*query{},
	}
}

// register tells who the bot is, and waits for the server's welcome.
func (s *session) register() error {
	if err := s.write("CAP LS 302\r\nCAP REQ :" + capabilities + "\r\nNICK " + s.bot.nick + "\r\nUSER " + s.bot.nick + " 0 * :a bot\r\nCAP END"); err != nil {
		return err
	}
	if err := s.conn.SetReadDeadline(time.Now().Add(answerTime)); err != nil {
		return err
	}
	for {
		m, err := s.next()
		if err != nil {
			return err
		}
		switch m.Command {
		case "001":
			return s.conn.SetReadDeadline(time.Time{})
		case "PING":
			err = s.write("PONG :" + m.Trailing())
		case "433", "ERROR":
			err = fmt.Errorf("not let in: %s", m)
		}
		if err != nil {
			return err
		}
	}
}

func (s *session) next() (*irc.Message, error) {
	line, err := s.r.ReadString('\n')
	if err != nil {
		return nil, err
	}
	return irc.ParseMessage(line)
}

// write sends lines; each call's arrive together and in the order of calls.
func (s *session) write(lines string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writeLocked(lines)
}

func (s *session) writeLocked(lines string) error {
	if err := s.conn.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
		return err
	}
	_, err := s.conn.Write([]byte(lines + "\r\n"))
	return err
}

// read takes what the server says until the connection ends.
func (s *session) read() {
	for {
		m, err := s.next()
		if err != nil {
			return
		}
		s.take(m)
	}
}

// take is one line of the server.
func (s *session) take(m *irc.Message) {
	me := m.Prefix != nil && m.Prefix.Name == s.bot.nick
	switch {
	case s.answered(m, me):
	case m.Command == "PING":
		_ = s.write("PONG :" + m.Trailing()) // a dead connection is noticed by read
	case m.Command == "PRIVMSG": // its own too, should it come without an answer's label
		s.bot.ledger.saw(s.client, m.Param(0), m.Trailing())
	case m.Command == "JOIN" && me:
		s.entered(m.Param(0))
	case m.Command == "QUIT" && !me && m.Prefix != nil:
		s.bot.ledger.quit(s.bot.nick, m.Prefix.Name, m.Trailing())
	case m.Command == "353": // me, kind of channel, channel, names
		var nicks []string
		for _, name := range strings.Fields(m.Trailing()) {
			nicks = append(nicks, strings.TrimLeft(name, "@%+"))
		}
		s.found("NAMES "+m.Param(2), nicks...)
	case m.Command == "366":
		s.answer("NAMES " + m.Param(1))
	case m.Command == "332":
		s.found("TOPIC "+m.Param(1), m.Trailing())
		s.answer("TOPIC " + m.Param(1))
	case m.Command == "331":
		s.answer("TOPIC " + m.Param(1))
	}
}

// answered takes the answer to a labelled message; false when m is none.
func (s *session) answered(m *irc.Message, me bool) bool {
	label, labelled := m.Tags["label"]
	s.mu.Lock()
	if ref := m.Param(0); labelled && m.Command == "BATCH" {
		s.batches[strings.TrimPrefix(ref, "+")] = label
		s.mu.Unlock()
		return true
	}
	if !labelled {
		label = s.batches[m.Tags["batch"]]
	}
	text, ok := s.waiting[label]
	delete(s.waiting, label)
	s.mu.Unlock()
	switch {
	case !ok:
		return false
	case m.Command == "PRIVMSG" && me:
		s.bot.ledger.acked(s.client, text)
	default: // FAIL, a numeric, a notice: it was not accepted
		s.bot.ledger.refused(s.client, text, m.Trailing())
	}
	return true
}

// send says something in a channel.
func (s *session) send(channel, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return
	}
	s.labels++
	label := fmt.Sprint(s.labels)
	s.waiting[label] = text
	s.bot.ledger.sent(s.client, channel, text)
	_ = s.writeLocked("@label=" + label + " PRIVMSG " + channel + " :" + text) // a dead connection is noticed by read
}

// join asks to be let into a channel, not too often.
func (s *session) join(channel string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over || time.Since(s.asked[channel]) < rejoin {
		return
	}
	s.asked[channel] = time.Now()
	_ = s.writeLocked("JOIN " + channel)
}

func (s *session) entered(channel string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(s.joined, channel) {
		s.joined = append(s.joined, channel)
		slices.Sort(s.joined)
	}
	s.bot.ledger.joined(s.client, channel)
}

// in are the channels that the session is on, sorted.
func (s *session) in() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.joined)
}

func (s *session) quiet() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.waiting) == 0
}

// end is called when the connection is gone.
func (s *session) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	for what, q := range s.queries {
		close(q.done)
		delete(s.queries, what)
	}
	s.bot.ledger.left(s.client)
}

// members asks for the members of a channel, sorted.
func (s *session) members(ctx context.Context, channel string) ([]string, error) {
	nicks, err := s.ask(ctx, "NAMES "+channel, "NAMES "+channel)
	slices.Sort(nicks)
	return nicks, err
}

// ask sends a line and waits for the whole answer to it. One question of a
// kind is asked at a time; who asks it meanwhile gets the same answer.
func (s *session) ask(ctx context.Context, what, line string) ([]string, error) {
	s.mu.Lock()
	if s.over {
		s.mu.Unlock()
		return nil, errNotConnected
	}
	q := s.queries[what]
	if q == nil {
		q = &query{done: make(chan struct{})}
		s.queries[what] = q
		_ = s.writeLocked(line)
	}
	s.mu.Unlock()
	select {
	case <-q.done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return nil, errNotConnected
	}
	return slices.Clone(q.found), nil
}

// found notes a part of an answer; without a question it came with a JOIN.
func (s *session) found(what string, parts ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if q := s.queries[what]; q != nil {
		q.found = append(q.found, parts...)
	}
}

// answer ends an answer.
func (s *session) answer(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if q := s.queries[what]; q != nil {
		close(q.done)
		delete(s.queries, what)
	}
}
