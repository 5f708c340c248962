package console

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ircbridge/chat"
	"ircbridge/chat/chattest"
)

var update = flag.Bool("update", false, "rewrite testdata/*.txt with what the console writes now")

// TestTranscripts plays testdata/*.txt. Their lines:
//
//	# a remark
//	> what the user types
//	@bob what another user does (see actor.do)
//	! what the network does (see play.network)
//	anything else: what the console wrote, or "bob hears …"
//
// Each runs in a bubble of testing/synctest: after each step all is quiet
// before the next, and time moves only by "! wait".
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no transcripts", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var got []byte
			synctest.Test(t, func(t *testing.T) { got = replay(t, string(want)) })
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			} else if !bytes.Equal(got, want) {
				t.Errorf("transcript differs (-update rewrites it).\n--- got\n%s\n--- want\n%s", got, want)
			}
		})
	}
}

// play is one running transcript.
type play struct {
	t      *testing.T
	svc    *chattest.Service
	away   *chattest.Service // a second node
	fail   error             // what the network answers to all
	mute   bool              // the node does not answer for itself
	typed  *io.PipeWriter
	cancel context.CancelCauseFunc
	actors map[string]*actor

	mu  sync.Mutex
	out strings.Builder
}

// Write takes a line of the console, which must be a whole one.
func (p *play) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !bytes.HasSuffix(b, []byte("\n")) || bytes.Count(b, []byte("\n")) != 1 {
		p.t.Errorf("one Write is not one line: %q", b)
	}
	return p.out.Write(b)
}

func (p *play) note(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(&p.out, format+"\n", args...)
}

func replay(t *testing.T, script string) []byte {
	p := &play{t: t, actors: map[string]*actor{}}
	p.svc = chattest.NewService(chattest.Options{Accounts: true, Fail: func(op, _ string) error {
		if op == "Open" {
			return nil
		}
		return p.fail
	}})
	p.away = p.svc.AddNode(chat.Node{})
	in, typed := io.Pipe()
	p.typed = typed
	f, err := On(in, p)(chat.Setup{Service: p.svc, Ask: p.ask, Decode: func(v any) error {
		*v.(*Config) = Config{Enabled: true, Nick: "me"}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	c := f.(*Console)
	c.out.zone = time.UTC
	ctx, cancel := context.WithCancelCause(context.Background())
	p.cancel = cancel
	var serve sync.WaitGroup
	steps := strings.Split(strings.TrimSuffix(script, "\n"), "\n")
	started := false
	begin := func() {
		started = true
		serve.Go(func() {
			err := c.Serve(ctx)
			p.note("= Serve returned: %v", err)
			if err != nil && !errors.Is(err, chat.ErrExit) {
				t.Errorf("Serve: %v", err)
			}
		})
		synctest.Wait()
	}
	for _, step := range steps {
		if step == "" || !strings.ContainsAny(step[:1], "#>@!") { // output begins with a time, a name or =
			continue
		}
		if !started && step[0] != '#' && step[0] != '@' {
			begin()
		}
		p.note("%s", step)
		p.step(step)
		synctest.Wait()
		p.hear()
	}
	cancel(errors.New("test over"))
	typed.Close()
	serve.Wait()
	for _, a := range p.actors {
		a.s.Close("")
	}
	return []byte(p.out.String())
}

func (p *play) step(step string) {
	rest := strings.TrimSpace(step[1:])
	switch step[0] {
	case '>':
		// \e, \r, \xff and so on stand for bytes that no transcript should hold.
		text := strings.NewReplacer(`\e`, "\x1b", `\r`, "\r", `\0`, "\x00", `\xff`, "\xff").Replace(strings.TrimPrefix(step[1:], " "))
		if n := strings.Index(text, "{long}"); n >= 0 {
			text = text[:n] + strings.Repeat("x", 2*maxLine) + text[n+6:]
		}
		if n := strings.Index(text, "{text}"); n >= 0 {
			text = text[:n] + strings.Repeat("y", chat.MaxText+1)
		}
		if _, err := io.WriteString(p.typed, text+"\n"); err != nil {
			p.note("= input is closed: %v", err)
		}
	case '@':
		name, what, _ := strings.Cut(rest, " ")
		p.actor(name).do(what)
	case '!':
		p.network(rest)
	}
}

// network does what the network or the program does.
func (p *play) network(what string) {
	verb, arg, _ := strings.Cut(what, " ")
	switch verb {
	case "wait":
		d, err := time.ParseDuration(arg)
		if err != nil {
			p.t.Fatal(err)
		}
		time.Sleep(d)
	case "hold":
		p.svc.Hold()
	case "release":
		p.svc.Release()
	case "down":
		p.fail = chat.ErrUnreachable
	case "up":
		p.fail = nil
	case "eof":
		p.typed.Close()
	case "cancel":
		p.cancel(errors.New(arg))
	case "stop":
		p.svc.Stop(arg)
	case "rename":
		if f := strings.Fields(arg); !p.svc.Rename(f[0], f[1], "an older claim holds it") {
			p.t.Errorf("no rename: %s", arg)
		}
	case "notice":
		p.svc.Announce(arg)
	case "mute":
		p.mute = true
	case "cut":
		p.svc.Cut()
	case "mend":
		p.svc.Mend()
	case "heal":
		p.svc.Inject("me", viewOf(arg))
	default:
		p.t.Errorf("unknown step: ! %s", what)
	}
}

// ask is the node that answers for itself.
func (p *play) ask(_ context.Context, question string) []string {
	if p.mute {
		return nil
	}
	return []string{"you asked: " + question, "all is \x1b[1mwell"}
}

func viewOf(channel string) chat.ViewChanged {
	user := func(nick string) chat.Profile {
		return chat.Profile{Nick: nick, Username: "u", Host: "far.node.ircbridge"}
	}
	return chat.ViewChanged{
		Channel: channel, By: "far.node.ircbridge",
		Left:  []chat.Profile{user("lost")},
		Came:  []chat.Member{{Profile: user("found"), Status: chat.Voice}},
		Modes: []chat.ModeChange{{Add: true, Mode: 'm'}, {Mode: 'o', Arg: "me"}},
		Topic: &chat.Topic{Text: "healed", By: "far.node.ircbridge"},
	}
}

// actor is another user.
type actor struct {
	p *play
	s chat.Session
}

// actor is the user of that name; he is let in on his first mention, on the
// second node if his name begins with f (for far).
func (p *play) actor(name string) *actor {
	if a := p.actors[name]; a != nil {
		return a
	}
	svc := p.svc
	if name[0] == 'f' {
		svc = p.away
	}
	s, err := svc.Open(context.Background(), chat.User{Nick: name, Username: "u" + name, Realname: "Mr " + name})
	if err != nil {
		p.t.Fatal(err)
	}
	p.actors[name] = &actor{p, s}
	return p.actors[name]
}

func (a *actor) do(what string) {
	ctx := context.Background()
	verb, rest, _ := strings.Cut(what, " ")
	target, text, _ := strings.Cut(rest, " ")
	text = strings.NewReplacer(`\e`, "\x1b", `\n`, "\n", `\x01`, "\x01", `\x9b`, "\u009b", `\bidi`, "\u202e", `\xff`, "\xff", `\del`, "\x7f").Replace(text)
	var err error
	switch verb {
	case "is": // let him in, no more
	case "join":
		_, err = a.s.Join(ctx, target, text)
	case "part":
		err = a.s.Part(ctx, target, text)
	case "say", "notice":
		_, err = a.s.Send(chat.Outgoing{Target: target, Text: text, Notice: verb == "notice"})
	case "nick":
		err = a.s.SetNick(ctx, target)
	case "topic":
		err = a.s.SetTopic(ctx, target, text)
	case "kick":
		nick, reason, _ := strings.Cut(text, " ")
		err = a.s.Kick(ctx, target, nick, reason)
	case "invite":
		_, err = a.s.Invite(ctx, text, target)
	case "rename":
		to, reason, _ := strings.Cut(text, " ")
		err = a.s.RenameChannel(ctx, target, to, reason)
	case "setname":
		err = a.s.SetRealname(ctx, rest)
	case "away":
		err = a.s.SetAway(ctx, rest)
	case "mode":
		mode, arg, _ := strings.Cut(text, " ")
		_, err = a.s.SetMode(ctx, target, []chat.ModeChange{{Add: mode[0] == '+', Mode: mode[1], Arg: arg}})
	case "quit":
		a.s.Close(rest)
	default:
		a.p.t.Errorf("unknown step: %s", what)
	}
	if err != nil {
		a.p.note("= %v", err)
	}
}

// hear notes the messages that the actors got, in the order of their names.
func (p *play) hear() {
	var names []string
	for name := range p.actors {
		names = append(names, name)
	}
	slices.Sort(names)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, name := range names {
		for {
			e, err := p.actors[name].s.Next(ctx)
			if err != nil {
				break
			}
			if m, ok := e.(chat.Message); ok {
				p.note("%s hears %s to %s: %q", name, m.From.Nick, m.Target, chat.Cut(m.Text, 60))
			}
		}
	}
}
