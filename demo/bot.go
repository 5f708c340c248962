package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"ircbridge/history"
)

// bot is a person with an IRC client that reconnects and rejoins by itself. It
// chats in all channels that it is on, and has all that it sent and saw written down.
type bot struct {
	nick   string
	home   *node // where its client connects
	ledger *ledger
	says   *chatter

	mu     sync.Mutex
	enters bool // its channels
	talks  bool
	live   *session // nil: not connected
	number int      // of sessions so far
}

// Times of a bot.
const (
	reconnect  = 100 * time.Millisecond // before it tries its node again
	answerTime = 10 * time.Second       // for a node to greet it
	rejoin     = 500 * time.Millisecond // before it tries a channel again that did not let it in
	writeTime  = 5 * time.Second        // for its node to take a line
)

// run keeps the bot connected until ctx is done.
func (b *bot) run(ctx context.Context) {
	var chatting sync.WaitGroup
	defer chatting.Wait()
	chatting.Go(func() { b.chat(ctx) })
	for ctx.Err() == nil {
		if addr := b.home.irc(); addr != "" {
			b.connect(ctx, addr)
		}
		pause(ctx, reconnect)
	}
}

// connect is one connection, from its beginning to its end.
func (b *bot) connect(ctx context.Context, addr string) {
	dialer := net.Dialer{Timeout: time.Second}
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	b.mu.Lock()
	b.number++
	s := newSession(b, conn, history.Client(fmt.Sprintf("%s/%d", b.nick, b.number)))
	b.mu.Unlock()
	if s.register() == nil {
		b.mu.Lock()
		b.live = s
		b.mu.Unlock()
		s.read()
		b.mu.Lock()
		b.live = nil
		b.mu.Unlock()
	}
	s.end()
}

// chat says something now and then, and joins what the bot is not on.
func (b *bot) chat(ctx context.Context) {
	for pause(ctx, b.says.pause()) {
		s, enters, talks := b.session()
		if s == nil || !enters {
			continue
		}
		in := s.in()
		for _, c := range channels {
			if !slices.Contains(in, c) {
				s.join(c)
			}
		}
		if talks && len(in) > 0 {
			s.send(b.says.next(in))
		}
	}
}

// enter lets the bot join its channels.
func (b *bot) enter() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.enters = true
}

// talk lets the bot chat, or keeps it quiet.
func (b *bot) talk(talks bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.talks = talks
}

func (b *bot) session() (s *session, enters, talks bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.live, b.enters, b.talks
}

// clients are the names of all the bot's sessions so far.
func (b *bot) clients() (all []history.Client) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.number {
		all = append(all, history.Client(fmt.Sprintf("%s/%d", b.nick, i+1)))
	}
	return all
}

// on reports whether the bot is on all channels.
func (b *bot) on() bool {
	s, _, _ := b.session()
	return s != nil && len(s.in()) == len(channels)
}

// quiet reports whether the bot waits for no answer.
func (b *bot) quiet() bool {
	s, _, _ := b.session()
	return s == nil || s.quiet()
}

// errNotConnected is of questions to a bot that has no connection.
var errNotConnected = errors.New("the bot is not connected")

// members are those whom the bot's client shows on a channel, sorted.
func (b *bot) members(ctx context.Context, channel string) ([]string, error) {
	s, _, _ := b.session()
	if s == nil {
		return nil, errNotConnected
	}
	return s.members(ctx, channel)
}

// topic is that of a channel as the bot's node has it, "" for none.
func (b *bot) topic(ctx context.Context, channel string) (string, error) {
	s, _, _ := b.session()
	if s == nil {
		return "", errNotConnected
	}
	found, err := s.ask(ctx, "TOPIC "+channel, "TOPIC "+channel)
	if err != nil || len(found) == 0 {
		return "", err
	}
	return found[0], nil
}

// setTopic sets the topic of a channel.
func (b *bot) setTopic(channel, text string) error {
	s, _, _ := b.session()
	if s == nil {
		return errNotConnected
	}
	return s.write("TOPIC " + channel + " :" + text)
}

// pause waits; false when ctx is done.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
