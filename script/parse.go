package script

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Bounds of a script.
const (
	maxScriptLines = 20_000
	maxCount       = 100_000 // of a burst, of repetitions, of idle connections
)

// Script is a session that was read. It may be run any number of times, also
// at the same time.
type Script struct {
	name  string
	steps []*step
}

// step is one statement.
type step struct {
	line   int
	text   string        // as written
	within time.Duration // its own timeout, 0 for the one in force
	do     action
}

// action is what a statement does.
type action interface {
	play(ctx context.Context, p *play, s *step) error
}

// Parse reads a script. Its name is used in messages. Errors name file and
// line.
func Parse(name string, r io.Reader) (*Script, error) {
	in := bufio.NewScanner(r)
	in.Buffer(nil, maxLine)
	p := &parser{
		name: name, actors: map[string]bool{}, nodes: map[string]bool{},
		armed: map[string]int{},
	}
	for in.Scan() {
		if len(p.lines) == maxScriptLines {
			return nil, fmt.Errorf("%s: more than %d lines", name, maxScriptLines)
		}
		p.lines = append(p.lines, strings.TrimSpace(in.Text()))
	}
	if err := in.Err(); err != nil {
		return nil, fmt.Errorf("%s:%d: %w", name, len(p.lines)+1, err)
	}
	s := &Script{name: name}
	for p.next() {
		st, err := p.statement(p.lines[p.at-1], false)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, p.at, err)
		}
		s.steps = append(s.steps, st)
	}
	for actor, line := range p.armed {
		return nil, fmt.Errorf("%s:%d: absent needs a later `%s < …` or `%s fence`, up to which the line must not come", name, line, actor, actor)
	}
	return s, nil
}

// parser holds what has been read so far.
type parser struct {
	name   string
	lines  []string
	at     int             // lines consumed; the present line's number
	actors map[string]bool // those that have entered, connected or have a console
	nodes  map[string]bool // those that have been started or configured
	armed  map[string]int  // actors with an absent line that nothing has closed yet
}

// next goes to the next line that is neither empty nor a comment.
func (p *parser) next() bool {
	for p.at < len(p.lines) {
		p.at++
		if line := p.lines[p.at-1]; line != "" && line[0] != '#' {
			return true
		}
	}
	return false
}

// words is the rest of a statement.
type words struct{ rest string }

// word cuts off the next word, "" at the end.
func (w *words) word() string {
	word, rest, _ := strings.Cut(w.rest, " ")
	w.rest = strings.TrimSpace(rest)
	return word
}

// take cuts off the given word if it is next.
func (w *words) take(word string) bool {
	c := *w
	if c.word() != word {
		return false
	}
	*w = c
	return true
}

func (w *words) end() error {
	if w.rest != "" {
		return fmt.Errorf("%q is too much on this line", w.rest)
	}
	return nil
}

// quoted cuts off a text in double quotes.
func (w *words) quoted() (string, error) {
	if !strings.HasPrefix(w.rest, `"`) {
		return "", errors.New(`a text in "…" is needed`)
	}
	for i := 1; i < len(w.rest); i++ {
		switch w.rest[i] {
		case '\\':
			i++
		case '"':
			text := w.rest[1:i]
			w.rest = strings.TrimSpace(w.rest[i+1:])
			return text, nil
		}
	}
	return "", errors.New(`" without its second "`)
}

func (w *words) duration() (time.Duration, error) {
	word := w.word()
	d, err := time.ParseDuration(word)
	if err != nil || d <= 0 || d > time.Hour {
		return 0, fmt.Errorf("%q is no duration; write 500ms, 10s, 2m (an hour at most)", word)
	}
	return d, nil
}

func (w *words) count() (int, error) {
	word := w.word()
	var n int
	if _, err := fmt.Sscanf(word, "%d", &n); err != nil || fmt.Sprint(n) != word || n < 1 || n > maxCount {
		return 0, fmt.Errorf("%q is no number from 1 to %d", word, maxCount)
	}
	return n, nil
}

func validName(name string) bool {
	for i := 0; i < len(name); i++ {
		c := lower(name[i])
		letter := 'a' <= c && c <= 'z'
		if !letter && (i == 0 || (c != '-' && c != '_' && (c < '0' || c > '9'))) {
			return false
		}
	}
	return name != ""
}

func newName(name, what string) error {
	if !validName(name) {
		return fmt.Errorf("%q is no name for %s: letters, digits, - and _, beginning with a letter", name, what)
	}
	if _, ok := keywords()[name]; ok {
		return fmt.Errorf("%s begins a statement and cannot name %s", name, what)
	}
	return nil
}

// keywords are the words with which statements begin that are not about an
// actor.
func keywords() map[string]func(*parser, *words) (action, error) {
	return map[string]func(*parser, *words) (action, error){
		"timeout":  (*parser).timeout,
		"let":      (*parser).let,
		"config":   (*parser).config,
		"start":    (*parser).start,
		"stop":     (*parser).stop,
		"kill":     (*parser).kill,
		"pause":    (*parser).pause,
		"resume":   (*parser).resume,
		"wait":     (*parser).wait,
		"choose":   (*parser).choose,
		"cut":      (*parser).cut,
		"mend":     (*parser).mend,
		"idle":     (*parser).idle,
		"any":      (*parser).anyOrder,
		"at":       (*parser).atOnce,
		"either":   (*parser).either,
		"during":   (*parser).during,
		"everyone": (*parser).everyone,
		"within":   nil, // read by statement itself
		"end":      nil,
		"or":       nil,
	}
}

// isBlock tells the statements that have an `end`.
func isBlock(a action) bool {
	switch a.(type) {
	case *anyOrderStep, *atOnceStep, *eitherStep, *duringStep, *configStep:
		return true
	}
	return false
}

// statement reads one statement, with its block if it has one. Inside a block
// there is no other.
func (p *parser) statement(line string, inBlock bool) (*step, error) {
	s := &step{line: p.at, text: line}
	w := &words{line}
	if w.take("within") {
		d, err := w.duration()
		if err != nil {
			return nil, err
		}
		s.within = d
	}
	first := w.word()
	read, isKeyword := keywords()[first]
	var err error
	switch {
	case isKeyword && read == nil:
		return nil, fmt.Errorf("%q has nothing to belong to here", first)
	case isKeyword:
		s.do, err = read(p, w)
	default:
		s.do, err = p.actor(first, w)
	}
	if err != nil {
		return nil, err
	}
	if inBlock && isBlock(s.do) {
		return nil, errors.New("a block cannot stand in a block")
	}
	return s, nil
}

// block reads statements up to `end`, or up to `or` where that is allowed.
// It returns the word it stopped at.
func (p *parser) block(or bool) ([]*step, string, error) {
	opened := p.at
	var steps []*step
	for p.next() {
		line := p.lines[p.at-1]
		if line == "end" || or && line == "or" {
			if len(steps) == 0 {
				return nil, "", errors.New("an empty block")
			}
			return steps, line, nil
		}
		s, err := p.statement(line, true)
		if err != nil {
			return nil, "", err
		}
		steps = append(steps, s)
	}
	return nil, "", fmt.Errorf("the block of line %d has no end", opened)
}

// expectations reads a block of which every statement is an expectation.
func (p *parser) expectations(or bool) ([]*step, string, error) {
	steps, stop, err := p.block(or)
	if err != nil {
		return nil, "", err
	}
	for _, s := range steps {
		_, expects := s.do.(expectation)
		_, lets := s.do.(*letStep)
		if !expects && !(or && lets) {
			return nil, "", fmt.Errorf("%q expects nothing; this block may have `ACTOR < …`, `ACTOR gone` and `wait …` only", s.text)
		}
		if s.within != 0 {
			return nil, "", errors.New("within stands before the block, not in it")
		}
	}
	return steps, stop, nil
}
