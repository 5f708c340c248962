package demo

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"ircbridge/history"
)

// client is a bot's connection as its server sees it.
type client struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

// server is a node's IRC port, played by the test.
func server(t *testing.T) (*node, func() *client) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	accept := func() *client {
		t.Helper()
		_ = l.(*net.TCPListener).SetDeadline(time.Now().Add(patience))
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return &client{t, conn, bufio.NewReader(conn)}
	}
	return &node{number: 1, at: Ready{IRC: l.Addr().String()}, proc: new(process)}, accept
}

// next is the next line that begins as given; what comes before it is left out.
func (c *client) next(begins string) string {
	c.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(patience))
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			c.t.Fatalf("waiting for %q: %v", begins, err)
		}
		if line = strings.TrimSpace(line); strings.HasPrefix(line, begins) {
			return line
		}
	}
}

// message is the next message, taken apart.
func (c *client) message() (label, channel, text string) {
	c.t.Helper()
	line := c.next("@label=")
	if n, err := fmt.Sscanf(line, "@label=%s PRIVMSG %s", &label, &channel); n != 2 {
		c.t.Fatalf("%q: %v", line, err)
	}
	_, text, _ = strings.Cut(line, " :")
	return label, channel, text
}

func (c *client) say(lines ...string) {
	c.t.Helper()
	for _, line := range lines {
		if _, err := c.Write([]byte(line + "\r\n")); err != nil {
			c.t.Fatal(err)
		}
	}
}

// welcome lets the bot in, and into all channels.
func (c *client) welcome() {
	c.t.Helper()
	c.next("CAP REQ :" + capabilities)
	c.next("NICK ann")
	c.next("CAP END")
	c.say(":irc CAP ann ACK :"+capabilities, ":irc 001 ann :Welcome")
	for range channels {
		channel := strings.TrimPrefix(c.next("JOIN "), "JOIN ")
		c.say(":ann!ann@x JOIN "+channel, ":irc 353 ann = "+channel+" :@ann bob", ":irc 366 ann "+channel+" :End of NAMES list")
	}
}

// startBot starts ann, a bot that has much to say.
func startBot(t *testing.T, home *node) *bot {
	t.Helper()
	began := time.Now()
	b := &bot{
		nick: "ann", home: home, ledger: newLedger(func() time.Duration { return time.Since(began) }),
		says: &chatter{r: rand.New(rand.NewPCG(1, 1)), nick: "ann", mean: 2 * time.Millisecond},
	}
	b.enter()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); b.run(ctx) }()
	t.Cleanup(func() { stop(); <-ended })
	return b
}

// holds waits until something does.
func holds(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !cond(); {
		if time.Now().After(end) || !pause(t.Context(), time.Millisecond) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// A message is accepted when its echo comes, and refused when its label comes
// back with anything else: FAIL, a numeric, or a batch of lines.
func TestBotKnowsWhatBecameOfItsMessages(t *testing.T) {
	home, accept := server(t)
	b := startBot(t, home)
	c := accept()
	c.welcome()
	holds(t, "it is on its channels", b.on)
	b.talk(true)
	var texts []string
	for _, answer := range []string{
		"@label=%s;msgid=1 :ann!ann@x PRIVMSG %s :%s",
		"@label=%s :irc FAIL PRIVMSG CANNOT_SEND %s :%.3s: not accepted",
		"@label=%s :irc 404 ann %s :Cannot send %.0s",
		"@label=%s :irc BATCH +b labeled-response\r\n@batch=b :irc NOTICE ann :not sent to %s: %s\r\n:irc BATCH -b",
	} {
		label, channel, text := c.message()
		c.say(fmt.Sprintf(answer, label, channel, text))
		texts = append(texts, text)
	}
	b.talk(false)
	holds(t, "all four have their answers", func() bool {
		b.ledger.mu.Lock()
		defer b.ledger.mu.Unlock()
		return b.ledger.messages[texts[0]].acked > 0 && !slices.ContainsFunc(texts[1:], func(text string) bool { return b.ledger.messages[text].refused == 0 })
	})
	if r := b.ledger.h.Check(history.Rules{}); r.Acked != 1 || r.Refused != 3 || !r.OK() {
		t.Errorf("the history has %v", r)
	}
}

// What others say, and who quits, is noted; what comes of its own without a
// label came twice.
func TestBotNotesWhatItSees(t *testing.T) {
	home, accept := server(t)
	b := startBot(t, home)
	c := accept()
	c.welcome()
	b.ledger.sent("bob/1", "#tea", "hello")
	holds(t, "it is on its channels", b.on)
	b.talk(true)
	label, channel, text := c.message()
	b.talk(false)
	c.say("PING :1", ":bob!b@x PRIVMSG #tea :hello", ":bob!b@x QUIT :netsplit",
		"@label="+label+" :ann!ann@x PRIVMSG "+channel+" :"+text, ":ann!ann@x PRIVMSG "+channel+" :"+text)
	c.next("PONG :1")
	var r history.Report
	holds(t, "the second copy is noted", func() bool {
		r = b.ledger.h.Check(history.Rules{})
		return r.Duplicated == 1
	})
	if r.Delivered != 1 || r.Acked != 1 || r.Invented != 0 {
		t.Errorf("the history has %v", r)
	}
	if who, why := b.ledger.departures("ann", 0); !slices.Equal(who, []string{"bob"}) || why != "netsplit" {
		t.Errorf("it saw %v go (%s)", who, why)
	}
}

// A bot whose node died comes back as another client, and asks again for what
// it was not let into.
func TestBotComesBack(t *testing.T) {
	home, accept := server(t)
	b := startBot(t, home)
	first := accept()
	first.welcome()
	holds(t, "it is on its channels", b.on)
	_ = first.Close()
	again := accept()
	if b.on() {
		t.Error("without a connection it is on its channels")
	}
	again.next("CAP END")
	again.say(":irc 001 ann :Welcome")
	again.next("JOIN #tea")
	again.say(":irc 437 ann #tea :temporarily unavailable")
	again.next("JOIN #tea")
	for _, channel := range channels {
		again.say(":ann!ann@x JOIN " + channel)
	}
	holds(t, "it is on its channels again", b.on)
	if got := b.clients(); !slices.Equal(got, []history.Client{"ann/1", "ann/2"}) {
		t.Errorf("it was %v", got)
	}
}

func TestBotAsksItsServer(t *testing.T) {
	home, accept := server(t)
	b := startBot(t, home)
	if _, err := b.members(t.Context(), "#tea"); err == nil {
		t.Error("it knows the members without a connection")
	}
	c := accept()
	c.welcome()
	holds(t, "it is on its channels", b.on)
	go func() {
		c.next("NAMES #tea")
		c.say(":irc 353 ann = #tea :@cid +ann", ":irc 353 ann = #tea :bob", ":irc 366 ann #tea :End of NAMES list")
		c.next("TOPIC #tea")
		c.say(":irc 332 ann #tea :green, please")
		c.next("TOPIC #news")
		c.say(":irc 331 ann #news :No topic is set")
		c.next("NAMES #news")
		_ = c.Close()
	}()
	if nicks, err := b.members(t.Context(), "#tea"); err != nil || !slices.Equal(nicks, []string{"ann", "bob", "cid"}) {
		t.Errorf("on #tea are %v, %v", nicks, err)
	}
	if topic, err := b.topic(t.Context(), "#tea"); err != nil || topic != "green, please" {
		t.Errorf("the topic of #tea is %q, %v", topic, err)
	}
	if topic, err := b.topic(t.Context(), "#news"); err != nil || topic != "" {
		t.Errorf("the topic of #news is %q, %v", topic, err)
	}
	if nicks, err := b.members(t.Context(), "#news"); err == nil {
		t.Errorf("of a server that is gone it learns %v", nicks)
	}
}
