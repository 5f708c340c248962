package script

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

type timeoutStep struct{ d time.Duration }

func (a *timeoutStep) play(_ context.Context, p *play, _ *step) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.timeout = a.d
	return nil
}

type letStep struct {
	name string
	text template
}

func (a *letStep) play(_ context.Context, p *play, _ *step) error {
	text, err := p.text(a.text)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.vars[a.name] = text
	return nil
}

// lookupLocked finds the value of ${name}: a variable, or what is known of an
// actor (his nick) or a node.
func (p *play) lookupLocked(name string) (string, bool) {
	if v, ok := p.vars[name]; ok {
		return v, true
	}
	of, what := name, ""
	if dot := strings.LastIndexByte(name, '.'); dot >= 0 {
		of, what = name[:dot], name[dot+1:]
	}
	if node, ok := p.vars[of]; ok {
		of = node // as in ${tea.keeper.id}
	}
	if a := p.actors[of]; a != nil && what == "nick" {
		return a.nick, true
	}
	if n := p.nodes[of]; n != nil {
		return n.known(what)
	}
	return "", false
}

// enterStep connects an actor and, if register is set, registers him.
type enterStep struct {
	actor    string
	place    template
	tls      bool
	web      bool
	pinned   template
	register bool
	nick     template
	password template
	caps     []string
}

func (a *enterStep) play(ctx context.Context, p *play, s *step) error {
	within := p.limit(s)
	place, err := p.text(a.place)
	if err != nil {
		return err
	}
	to := door{tls: a.tls, web: a.web}
	if to.pinned, err = p.text(a.pinned); err != nil {
		return err
	}
	if to.addr, err = p.address(ctx, place, to, within); err != nil {
		return err
	}
	c, err := p.connect(ctx, a.actor, to, within)
	if err != nil || !a.register {
		return err
	}
	nick, err := p.text(a.nick)
	if err != nil {
		return err
	}
	password, err := p.text(a.password)
	if err != nil {
		return err
	}
	var lines []string
	if password != "" {
		lines = append(lines, "PASS :"+password)
	}
	if len(a.caps) > 0 {
		lines = append(lines, "CAP LS 302", "CAP REQ :"+strings.Join(a.caps, " "))
	}
	lines = append(lines, "NICK "+nick, "USER "+a.actor+" 0 * :"+a.actor+" of the session")
	if len(a.caps) > 0 {
		lines = append(lines, "CAP END")
	}
	for _, line := range lines {
		if err := p.send(c, line, within); err != nil {
			return err
		}
	}
	if err := p.welcomed(ctx, c, within); err != nil {
		return fmt.Errorf("%s was not let in: %w", a.actor, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, name := range a.caps {
		c.echo = c.echo || name == "echo-message"
	}
	return nil
}

// welcomed waits for the end of the welcome: 376 or 422.
func (p *play) welcomed(ctx context.Context, c *actor, within time.Duration) error {
	return p.until(ctx, within, func() (bool, error) {
		for i := c.in.pos; i < len(c.in.lines); i++ {
			m := parseMessage(c.in.lines[i])
			switch {
			case m.command == "376" || m.command == "422":
				c.in.pos = i + 1
				return true, nil
			case m.command == "CAP" && len(m.params) > 1 && m.params[1] == "NAK",
				m.command == "432", m.command == "433", m.command == "464", m.command == "ERROR":
				return false, errors.New(c.in.lines[i])
			}
		}
		if c.in.ended {
			return false, errors.New("the connection ended")
		}
		return false, nil
	})
}

// sendStep sends a line, or bytes as they are.
type sendStep struct {
	actor string
	line  template
	crlf  bool
	times int
}

func (a *sendStep) play(_ context.Context, p *play, s *step) error {
	c, err := p.actor(a.actor)
	if err != nil {
		return err
	}
	text, err := p.text(a.line)
	if err != nil {
		return err
	}
	if a.crlf {
		return p.send(c, text, p.limit(s))
	}
	return p.write(c, text, a.times, p.limit(s))
}

type garbleStep struct {
	actor string
	bytes int
}

func (a *garbleStep) play(_ context.Context, p *play, s *step) error {
	c, err := p.actor(a.actor)
	if err != nil {
		return err
	}
	// The server may cut the line off in the middle; that is its right.
	if err := p.write(c, garbage(a.bytes), 1, p.limit(s)); err != nil {
		p.logf("garbage not taken: %v", err)
	}
	return nil
}

type closeStep struct {
	actor string
	what  closing
}

func (a *closeStep) play(_ context.Context, p *play, _ *step) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	c, err := p.actorLocked(a.actor)
	if err != nil {
		return err
	}
	if c.socket == nil && a.what != closeAll {
		return fmt.Errorf("%s sits at a console, which can only be closed", a.actor)
	}
	switch a.what {
	case closeAll:
		c.frozen = false
		err = c.conn.Close()
	case closeWrite:
		err = c.socket.CloseWrite()
	case stopReading:
		c.frozen = true
	case readAgain:
		c.frozen = false
	}
	p.wakeLocked()
	if err != nil {
		return fmt.Errorf("closing the connection of %s: %w", a.actor, err)
	}
	return nil
}

// atOnceStep does several things at the same time.
type atOnceStep struct{ steps []*step }

func (a *atOnceStep) play(ctx context.Context, p *play, s *step) error {
	errs := make([]error, len(a.steps))
	var wg sync.WaitGroup
	for i, each := range a.steps {
		if each.within == 0 {
			each = &step{line: each.line, text: each.text, within: s.within, do: each.do}
		}
		wg.Go(func() {
			if err := p.step(ctx, each); err != nil {
				errs[i] = fmt.Errorf("line %d: %w", each.line, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
