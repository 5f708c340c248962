package ircd

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ircbridge/chat"
	"ircbridge/chat/chattest"
)

// busyService is a network in which much happens while one waits: a look at
// #slow takes a second, in which somebody else says something; the queue has
// room for one message at a time; and #odd fails in a way that nobody knows.
type busyService struct{ *chattest.Service }

func (b busyService) Open(ctx context.Context, u chat.User) (chat.Session, error) {
	s, err := b.Service.Open(ctx, u)
	return &busySession{Session: s, svc: b.Service, nick: u.Nick}, err
}

type busySession struct {
	chat.Session
	svc  *chattest.Service
	nick string
	full bool
}

func (b *busySession) Channel(ctx context.Context, name string) (chat.Channel, error) {
	if name == "#slow" {
		b.svc.Inject(b.nick, chat.Notice{Text: "meanwhile", At: time.Now()})
		time.Sleep(time.Second)
	}
	return b.Session.Channel(ctx, name)
}

func (b *busySession) Send(m chat.Outgoing) (uint64, error) {
	b.full = !b.full
	if !b.full {
		return 0, chat.ErrQueueFull
	}
	return b.Session.Send(m)
}

func (b *busySession) Join(ctx context.Context, channel, key string) (chat.Channel, error) {
	if channel == "#odd" {
		return chat.Channel{}, errors.New("odd")
	}
	return b.Session.Join(ctx, channel, key)
}

// converse sends lines to a server and wants exactly these after the welcome.
func converse(t *testing.T, svc chat.Service, lines []string, want []string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		cfg := defaultConfig()
		cfg.ServerName = "irc.test"
		s, err := newServer(chat.Setup{Service: svc}, cfg)
		if err != nil {
			t.Fatal(err)
		}
		near, far := net.Pipe()
		c := newConn(s, arrived(far))
		var wg sync.WaitGroup
		wg.Go(func() {
			ended := make(chan struct{})
			c.start(context.Background(), func() { close(ended) })
			<-ended
			far.Close()
		})
		go io.WriteString(near, "NICK al\r\nUSER u 0 * :r\r\n"+strings.Join(lines, "\r\n")+"\r\nQUIT\r\n")
		text, err := io.ReadAll(bufio.NewReader(near))
		if err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		_, after, _ := strings.Cut(string(text), " 422 al :MOTD File is missing\r\n")
		got := strings.Split(strings.TrimSuffix(after, "\r\n"), "\r\n")
		if g, w := strings.Join(got, "\n"), strings.Join(append(want, "ERROR :Closing link (Quit)"), "\n"); g != w {
			t.Errorf("got\n%s\nwant\n%s", g, w)
		}
		if len(c.labelled) != 0 || c.resp != nil {
			t.Errorf("%d labels are left, %v", len(c.labelled), c.resp)
		}
	})
}

const labels = "CAP REQ :labeled-response batch echo-message"

// What is written while a labelled command waits stands after what the command
// has written before, and outside of its answer.
func TestEventsAmongALabelledAnswer(t *testing.T) {
	converse(t, busyService{chattest.NewService(chattest.Options{})},
		[]string{labels, "@label=1 NAMES #none,#slow"},
		[]string{
			":irc.test CAP al ACK :labeled-response batch echo-message",
			"@label=1 :irc.test BATCH +1 labeled-response",
			"@batch=1 :irc.test 366 al #none :End of NAMES list",
			":irc.test NOTICE al :meanwhile",
			"@batch=1 :irc.test 366 al #slow :End of NAMES list",
			":irc.test BATCH -1",
		})
}

// An outcome that comes while its command still sends does not end the answer.
func TestAnOutcomeBeforeItsCommandHasEnded(t *testing.T) {
	svc := chattest.NewService(chattest.Options{})
	if _, err := svc.Open(context.Background(), chat.User{Nick: "bob"}); err != nil {
		t.Fatal(err)
	}
	converse(t, busyService{svc},
		[]string{labels, "@label=1 PRIVMSG bob,nobody :x"},
		[]string{
			":irc.test CAP al ACK :labeled-response batch echo-message",
			"@label=1 :irc.test BATCH +1 labeled-response",
			"@batch=1 :al!u@0123456789ab.node.ircbridge PRIVMSG bob :x",
			"@batch=1 :irc.test 401 al nobody :No such nick/channel",
			":irc.test BATCH -1",
		})
}

// What came of a command that was given up is no part of the next one's
// answer.
func TestALateAnswerHasNoLabel(t *testing.T) {
	converse(t, lateService{chattest.NewService(chattest.Options{})},
		[]string{labels, "@label=1 JOIN #a", "@label=2 PING x"},
		[]string{
			":irc.test CAP al ACK :labeled-response batch echo-message",
			"@label=1 :irc.test 437 al #a :Nick/channel is temporarily unavailable: the network did not answer",
			":al!u@0123456789ab.node.ircbridge JOIN #a",
			":irc.test 353 al = #a :@al",
			":irc.test 366 al #a :End of NAMES list",
			"@label=2 :irc.test PONG irc.test :x",
		})
}

func TestAnErrorThatNobodyKnowsIsAnswered(t *testing.T) {
	converse(t, busyService{chattest.NewService(chattest.Options{})},
		[]string{"JOIN #odd", "CAP REQ standard-replies", "JOIN #odd"},
		[]string{
			":irc.test 263 al JOIN :Please wait a while and try again",
			":irc.test CAP al ACK :standard-replies",
			":irc.test FAIL JOIN INTERNAL_ERROR :This did not work; the log of the node says why",
		})
}
