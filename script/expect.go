package script

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// expectation is a step that can be waited for together with others.
type expectation interface {
	action
	// prepare puts the variables in.
	prepare(p *play) (condition, error)
}

// condition is an expectation with all its variables. Its methods are called with
// play.mu held.
type condition interface {
	// find looks for what is expected, beside what the others in the same
	// step have found.
	find(p *play, f *findings) (bool, error)
	// String says what is expected.
	String() string
}

// findings are what the conditions of one step have found so far; nothing of it
// is done to the streams before all have found theirs.
type findings struct {
	lines map[*stream]map[int]bool
	vars  map[string]string
}

func (f *findings) take(s *stream, line int, kept map[string]string) {
	if f.lines[s] == nil {
		f.lines[s] = map[int]bool{}
	}
	f.lines[s][line] = true
	for name, text := range kept {
		f.vars[name] = text
	}
}

func prepare(p *play, steps []*step) ([]condition, error) {
	var out []condition
	for _, s := range steps {
		e, ok := s.do.(expectation)
		if !ok {
			continue // a let of either
		}
		c, err := e.prepare(p)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", s.line, err)
		}
		out = append(out, c)
	}
	return out, nil
}

// findAllLocked looks for all conditions and, if each has found its own,
// passes what was found. Otherwise it returns those that have not.
func (p *play) findAllLocked(conditions []condition) ([]condition, error) {
	f := &findings{map[*stream]map[int]bool{}, map[string]string{}}
	var missing []condition
	for _, c := range conditions {
		ok, err := c.find(p, f)
		if err != nil {
			return nil, err
		}
		if !ok {
			missing = append(missing, c)
		}
	}
	if err := p.checkAbsentLocked(f, conditions, len(missing) == 0); err != nil {
		return nil, err
	}
	if len(missing) > 0 {
		return missing, nil
	}
	for s, lines := range f.lines {
		for i := range lines {
			s.taken[i] = true
			s.pos = max(s.pos, i+1)
		}
	}
	for name, text := range f.vars {
		p.vars[name] = text
	}
	return nil, nil
}

// checkAbsentLocked looks for lines that must not have come, up to what was
// found, or as far as the stream goes. When all was found it disarms them.
func (p *play) checkAbsentLocked(f *findings, conditions []condition, all bool) error {
	for _, c := range conditions {
		l, ok := c.(*lineCondition)
		if !ok {
			continue
		}
		a := l.actor
		end := 0
		for i := range f.lines[a.in] {
			end = max(end, i)
		}
		if len(f.lines[a.in]) == 0 {
			end = len(a.in.lines)
		}
		for _, absent := range a.armed {
			for i := absent.from; i < end; i++ {
				if _, hit := absent.pattern.match(a.in.lines[i]); hit {
					return fmt.Errorf("%s received what line %d says must be absent:\n  %s", a.name, absent.line, printable(a.in.lines[i]))
				}
			}
		}
		if all {
			a.armed = nil
		}
	}
	return nil
}

// await waits until all conditions hold together.
func (p *play) await(ctx context.Context, s *step, conditions []condition) error {
	missing := conditions
	err := p.until(ctx, p.limit(s), func() (bool, error) {
		var err error
		missing, err = p.findAllLocked(conditions)
		return len(missing) == 0, err
	})
	if isTimeout(err) {
		return fmt.Errorf("%w came:\n%s", err, list(missing))
	}
	return err
}

func list(conditions []condition) string {
	var b strings.Builder
	for _, c := range conditions {
		b.WriteString("  " + c.String() + "\n")
	}
	return b.String()
}

// expectStep: an actor must receive a line.
type expectStep struct {
	actor   string
	pattern template
}

func (a *expectStep) prepare(p *play) (condition, error) {
	t, err := p.pattern(a.pattern)
	if err != nil {
		return nil, err
	}
	c, err := p.actor(a.actor)
	return &lineCondition{c, t}, err
}

func (a *expectStep) play(ctx context.Context, p *play, s *step) error {
	c, err := a.prepare(p)
	if err != nil {
		return err
	}
	return p.await(ctx, s, []condition{c})
}

type lineCondition struct {
	actor   *actor
	pattern template
}

func (c *lineCondition) String() string {
	return c.actor.name + " < " + printable(c.pattern.String())
}

func (c *lineCondition) find(_ *play, f *findings) (bool, error) {
	in := c.actor.in
	for i := in.pos; i < len(in.lines); i++ {
		if f.lines[in][i] {
			continue
		}
		if kept, ok := c.pattern.match(in.lines[i]); ok {
			f.take(in, i, kept)
			return true, nil
		}
	}
	if in.ended {
		return false, fmt.Errorf("the connection of %s ended (%s) before this line came:\n  %s", c.actor.name, whyEnded(in), c)
	}
	return false, nil
}

func whyEnded(s *stream) string {
	if s.err != nil {
		return s.err.Error()
	}
	return "closed"
}

// goneStep: the server must close an actor's connection.
type goneStep struct{ actor string }

func (a *goneStep) prepare(p *play) (condition, error) {
	c, err := p.actor(a.actor)
	return &goneCondition{c}, err
}

func (a *goneStep) play(ctx context.Context, p *play, s *step) error {
	c, err := a.prepare(p)
	if err != nil {
		return err
	}
	return p.await(ctx, s, []condition{c})
}

type goneCondition struct{ actor *actor }

func (c *goneCondition) String() string                      { return c.actor.name + " gone: the end of the connection" }
func (c *goneCondition) find(*play, *findings) (bool, error) { return c.actor.in.ended, nil }

// absentStep arms an absence.
type absentStep struct {
	actor   string
	pattern template
}

func (a *absentStep) play(_ context.Context, p *play, s *step) error {
	t, err := p.pattern(a.pattern)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	c, err := p.actorLocked(a.actor)
	if err != nil {
		return err
	}
	c.armed = append(c.armed, &armedAbsence{t, c.in.pos, s.line})
	return nil
}

// fenceStep waits until the server has answered all that an actor has sent.
type fenceStep struct{ actor string }

func (a *fenceStep) play(ctx context.Context, p *play, s *step) error {
	c, err := p.actor(a.actor)
	if err != nil {
		return err
	}
	if c.socket == nil {
		return fmt.Errorf("%s sits at a console, where there is no PING", a.actor)
	}
	p.mu.Lock()
	p.fences++
	token := fmt.Sprintf("fence-%d", p.fences)
	p.mu.Unlock()
	if err := p.send(c, "PING "+token, p.limit(s)); err != nil {
		return err
	}
	pong := template{{kind: wildcard}, {literal, "PONG "}, {kind: wildcard}, {literal, token}}
	return p.await(ctx, s, []condition{&lineCondition{c, pong}})
}

// anyOrderStep: all of these must come, in whatever order.
type anyOrderStep struct{ steps []*step }

func (a *anyOrderStep) play(ctx context.Context, p *play, s *step) error {
	conditions, err := prepare(p, a.steps)
	if err != nil {
		return err
	}
	return p.await(ctx, s, conditions)
}

// eitherStep: one of these ways must come about entirely.
type eitherStep struct{ ways [][]*step }

func (a *eitherStep) play(ctx context.Context, p *play, s *step) error {
	ways := make([][]condition, len(a.ways))
	missing := make([][]condition, len(a.ways))
	for i, steps := range a.ways {
		var err error
		if ways[i], err = prepare(p, steps); err != nil {
			return err
		}
	}
	found := -1
	err := p.until(ctx, p.limit(s), func() (bool, error) {
		var errs []error
		for i, way := range ways {
			var err error
			missing[i], err = p.findAllLocked(way)
			if err == nil && len(missing[i]) == 0 {
				found = i
				return true, nil
			}
			if err != nil {
				errs = append(errs, err)
			}
		}
		if len(errs) == len(ways) {
			return false, errors.Join(errs...)
		}
		return false, nil
	})
	if isTimeout(err) {
		var b strings.Builder
		for i, m := range missing {
			fmt.Fprintf(&b, " for way %d this is missing:\n%s", i+1, list(m))
		}
		return fmt.Errorf("%w came any of %d ways:\n%s", err, len(ways), b.String())
	}
	if err != nil {
		return err
	}
	for _, each := range a.ways[found] {
		if let, ok := each.do.(*letStep); ok {
			if err := let.play(ctx, p, each); err != nil {
				return err
			}
		}
	}
	return nil
}
