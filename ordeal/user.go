package ordeal

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"ircbridge/history"
	"ircbridge/nodes"
)

// user is a person with an IRC client, over all of his connections.
type user struct {
	r    *run
	node *nodes.Node
	nick string

	mu       sync.Mutex
	conn     net.Conn // guarded by mu; nil while he has none
	client   history.Client
	sessions int
	in       map[string]bool // channels that he is in; guarded by mu
	pending  map[string]sent // by label; guarded by mu
	numbers  int             // of his messages; guarded by mu
	here     chan struct{}   // closed while he is in all channels; guarded by mu
}

// sent is a message that waits for its echo.
type sent struct {
	channel, text string
	at            time.Duration
}

func newUser(r *run, n *nodes.Node) *user {
	return &user{r: r, node: n, nick: fmt.Sprintf("user%d", n.Number()), here: make(chan struct{})}
}

// again is the pause before somebody tries again what did not work.
const again = 50 * time.Millisecond

// live connects, and connects again whenever the connection has ended, until ctx is done.
func (u *user) live(ctx context.Context) {
	for last := ""; ctx.Err() == nil; pause(ctx, again) {
		err := u.connect(ctx)
		if text := fmt.Sprint(err); text != last && ctx.Err() == nil {
			u.r.logf("%s: %s", u.nick, text)
			last = text
		}
	}
}

// connect is one connection from its beginning to its end.
func (u *user) connect(ctx context.Context) error {
	d := net.Dialer{Timeout: 2 * time.Second}
	conn, err := d.DialContext(ctx, "tcp", u.node.IRC())
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	u.begin(conn)
	defer u.end()
	v := &visit{u: u, conn: conn, present: map[string]map[string]bool{}, batches: map[string]string{}}
	if err := v.say("CAP REQ :echo-message labeled-response batch message-tags standard-replies", "PASS "+Password, "NICK "+u.nick, "USER "+u.nick+" 0 * :"+u.nick, "CAP END"); err != nil {
		return err
	}
	// A line with tags is at most 8191 + 512 bytes.
	for in := bufio.NewReaderSize(conn, 16<<10); ; {
		text, err := in.ReadSlice('\n')
		if err != nil {
			return fmt.Errorf("the connection ended: %w", errors.Join(err, v.why))
		}
		if err := v.take(ctx, parse(strings.TrimRight(string(text), "\r\n")), u.r.now()); err != nil {
			return err
		}
	}
}

// Password is what users give with PASS; nodes without a password take any.
const Password = "sesame"

func (u *user) begin(conn net.Conn) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.sessions++
	u.client = history.Client(fmt.Sprintf("%s.%d", u.nick, u.sessions))
	u.conn, u.in, u.pending = conn, map[string]bool{}, map[string]sent{}
}

func (u *user) end() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.r.history.Left(u.r.now(), u.client, "")
	if len(u.in) == len(u.r.channels) {
		u.here = make(chan struct{})
	}
	u.conn, u.in = nil, nil
}

// joined notes that he is in a channel.
func (u *user) joined(at time.Duration, channel string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.in[channel] {
		return
	}
	u.in[channel] = true
	u.r.history.Joined(at, u.client, channel)
	if len(u.in) == len(u.r.channels) {
		close(u.here)
	}
}

// left notes that he was taken out of a channel.
func (u *user) left(at time.Duration, channel string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.in[channel] {
		return
	}
	if len(u.in) == len(u.r.channels) {
		u.here = make(chan struct{})
	}
	delete(u.in, channel)
	u.r.history.Left(at, u.client, channel)
}

// ready waits until he is in all channels.
func (u *user) ready(ctx context.Context) error {
	u.mu.Lock()
	here := u.here
	u.mu.Unlock()
	late := time.NewTimer(comeBack)
	defer late.Stop()
	select {
	case <-here:
		return nil
	case <-late.C:
		return fmt.Errorf("%s is not in all channels after %v", u.nick, comeBack)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// comeBack is how long a user may take to come back into all channels.
const comeBack = 60 * time.Second

// say sends a message to a channel, if he is in it.
func (u *user) say(channel string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.in[channel] {
		return
	}
	u.numbers++
	label := fmt.Sprintf("m%d", u.numbers)
	text := fmt.Sprintf("%s says %d", u.nick, u.numbers)
	at := u.r.now()
	u.pending[label] = sent{channel, text, at}
	u.r.history.Sent(at, u.client, channel, text)
	// A node that takes nothing any more holds him up, as it would a person; a failed write shows in the next read.
	_ = u.conn.SetWriteDeadline(time.Now().Add(time.Minute))
	_, _ = fmt.Fprintf(u.conn, "@label=%s PRIVMSG %s :%s\r\n", label, channel, text)
}

// answered takes what became of a message.
func (u *user) answered(at time.Duration, label string, echo bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	s, ok := u.pending[label]
	if !ok {
		return
	}
	delete(u.pending, label)
	if !echo {
		u.r.history.Refused(at, u.client, s.text)
		return
	}
	u.r.watch.accepted(u, s, at)
}

// talk sends a message at each tick.
func (u *user) talk(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-tick.C:
			main := u.r.main()
			u.say(main)
			if i%10 == 9 {
				u.say(u.r.channels[(i/10)%len(u.r.channels)])
			}
		case <-ctx.Done():
			return
		}
	}
}

// pause waits, or until ctx is done.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// ask sends a line that is no message.
func (u *user) ask(text string) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.conn == nil {
		return fmt.Errorf("%s is not connected", u.nick)
	}
	_, err := fmt.Fprintf(u.conn, "%s\r\n", text)
	return err
}
