package console

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/user"
	"strings"
	"sync"
	"time"

	"ircbridge/chat"
)

const (
	commandTime = 10 * time.Second // for one command to get its answer
	drainTime   = 5 * time.Second  // for outcomes at the end of the input
	nickTries   = 10               // nicks tried when the default one is in use
)

// Config is the table [console] of the configuration.
type Config struct {
	// Enabled turns the console on; the flag -console sets it. Default false.
	Enabled bool `toml:"enabled"`
	// Nick to begin with; when it is in use, digits are added. Default: the
	// login name, without what cannot stand in a nick.
	Nick string `toml:"nick"`
}

// Console is the front-end. It implements chat.Frontend.
type Console struct {
	service chat.Service
	nick    string
	version string
	ask     func(ctx context.Context, question string) []string // nil: nobody answers
	log     *slog.Logger
	in      io.Reader
	out     *screen

	// Owned by Serve's goroutine.
	session chat.Session   // nil while there is none
	lost    chan error     // why a session ended that nobody here closed
	tally   *tally         // of the session's sends
	events  sync.WaitGroup // the goroutine of the session
}

// New is the console's chat.Factory, on standard input and output.
func New(s chat.Setup) (chat.Frontend, error) { return on(s, os.Stdin, os.Stdout) }

// On is a Factory of a console that reads in and writes out. Each Write is
// one whole line.
func On(in io.Reader, out io.Writer) chat.Factory {
	return func(s chat.Setup) (chat.Frontend, error) { return on(s, in, out) }
}

func on(s chat.Setup, in io.Reader, out io.Writer) (chat.Frontend, error) {
	var cfg Config
	if err := s.Decode(&cfg); err != nil {
		return nil, err
	}
	if !cfg.Enabled {
		return nil, nil
	}
	if cfg.Nick == "" {
		cfg.Nick = loginNick()
	}
	if !chat.ValidNick(cfg.Nick) {
		return nil, fmt.Errorf("console: nick %q: %w: use up to %d letters, digits and []\\`_^{|}-, not beginning with a digit or -",
			cfg.Nick, chat.ErrBadNick, chat.MaxNick)
	}
	log := s.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Console{
		service: s.Service, nick: cfg.Nick, version: s.Version, ask: s.Ask, log: log,
		in: in, out: newScreen(out), lost: make(chan error, 1), tally: newTally(),
	}, nil
}

// loginNick makes a nick of the name under which the user is logged in.
func loginNick() string {
	u, err := user.Current()
	if err != nil {
		return "guest"
	}
	return nickFrom(u.Username)
}

// nickFrom makes a nick of any name: without a Windows domain in front, and
// without what cannot stand in a nick.
func nickFrom(name string) string {
	name = name[strings.LastIndexByte(name, '\\')+1:]
	var b strings.Builder
	for _, r := range name {
		if r < 0x80 && b.Len() < chat.MaxNick && chat.ValidNick("a"+string(r)) {
			b.WriteRune(r)
		}
	}
	nick := strings.TrimLeft(b.String(), "-0123456789")
	if nick == "" {
		return "guest"
	}
	return nick
}

// Listen implements chat.Frontend; the console needs nothing.
func (c *Console) Listen() error { return nil }

// Hints implements chat.Frontend.
func (c *Console) Hints() []string {
	return []string{"console: type a command and Enter; help lists the commands"}
}

// Serve implements chat.Frontend. It returns chat.ErrExit when the user typed
// exit or quit. The end of the input ends the user's session, once what he
// sent has had its outcome, and leaves the node running.
func (c *Console) Serve(ctx context.Context) error {
	lines := make(chan line)
	done := make(chan struct{})
	defer close(done)
	go readLines(c.in, lines, done)
	c.connect(ctx, c.nick, nickTries)
	for {
		select {
		case <-ctx.Done():
			c.stop(ctx)
			return nil
		case err := <-c.lost:
			c.sessionLost(err)
		case l := <-lines:
			switch {
			case l.end:
				c.endOfInput(ctx)
				lines = nil
			case l.bad != "":
				c.out.fail("%s: the line was ignored", l.bad)
			default:
				if err := c.command(ctx, l.text); err != nil {
					return err
				}
			}
		}
	}
}

// connect opens a session under nick, or under nick and a digit when it is in
// use, in so many tries.
func (c *Console) connect(ctx context.Context, nick string, tries int) {
	ctx, cancel := context.WithTimeout(ctx, commandTime)
	defer cancel()
	name := nick
	for i := 1; ; i++ {
		s, err := c.service.Open(ctx, chat.User{Nick: name, Username: strings.ToLower(chat.Cut(nick, chat.MaxUsername)), Realname: nick})
		if err == nil {
			c.begin(s)
			return
		}
		if !errors.Is(err, chat.ErrNickInUse) || i >= tries {
			c.out.fail("you are not connected as %s: %s; nick <name> tries another", chat.Cut(name, 2*chat.MaxNick), reason(err))
			return
		}
		c.out.info("nick %s is in use", name)
		name = fmt.Sprintf("%s%d", chat.Cut(nick, chat.MaxNick-2), i)
	}
}

// begin makes s the session and starts the goroutine that shows its events.
func (c *Console) begin(s chat.Session) {
	c.session, c.tally = s, newTally()
	p, tally := s.Self(), c.tally
	c.out.info("you are %s (%s) on node %s; help lists the commands", p.Nick, p.Mask(), c.service.Node().ID)
	c.events.Go(func() {
		for {
			e, err := s.Next(context.Background()) // Close ends it
			if err != nil {
				if !tally.closed() {
					c.lost <- err // has room: there is one session at a time
				}
				return
			}
			c.show(s.Self(), e)
			if _, ok := e.(chat.Sent); ok {
				tally.settled()
			}
		}
	})
}

// sessionLost says that the node ended the session; the command nick opens a
// new one.
func (c *Console) sessionLost(err error) {
	c.events.Wait()
	if c.session == nil {
		return // it ended while the console closed it
	}
	c.session = nil
	c.log.Warn("console session ended", "error", err)
	c.out.fail("your session has ended: %v; nick <name> opens a new one, without your channels", err)
}

// endOfInput closes the session when what was sent is settled.
func (c *Console) endOfInput(ctx context.Context) {
	c.tally.wait(ctx, drainTime)
	c.out.info("end of input: the console is closed, the node goes on")
	c.close("console closed", false)
}

// stop says goodbye because the program ends.
func (c *Console) stop(ctx context.Context) {
	reason := context.Cause(ctx).Error()
	if c.session != nil {
		c.out.info("the node stops: %s", reason)
	}
	c.close(reason, false)
}

// close ends the session, if there is one, and its goroutine. asked: its user wants it.
func (c *Console) close(reason string, asked bool) {
	if c.session == nil {
		return
	}
	c.tally.close()
	end := c.session.Vanish
	if asked {
		end = c.session.Close
	}
	end(chat.Cut(reason, chat.MaxReason))
	c.events.Wait()
	c.session = nil
}
