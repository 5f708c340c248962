package script

import (
	"errors"
	"fmt"
	"strings"
)

func (p *parser) timeout(w *words) (action, error) {
	d, err := w.duration()
	if err != nil {
		return nil, err
	}
	return &timeoutStep{d}, w.end()
}

func (p *parser) let(w *words) (action, error) {
	a := &letStep{name: w.word()}
	if err := newName(a.name, "a variable"); err != nil {
		return nil, err
	}
	if !w.take("=") {
		return nil, errors.New("write `let NAME = TEXT`")
	}
	var err error
	a.text, err = parseTemplate(w.rest, false)
	return a, err
}

// nodeTemplate reads the name of a node that was started before, or a variable with such a
// name.
func (p *parser) nodeTemplate(w *words) (template, error) {
	if strings.HasPrefix(w.rest, "${") {
		return parseTemplate(w.word(), false)
	}
	name, err := p.node(w)
	return template{{literal, name}}, err
}

// joinTemplate reads whom to join: a node that was started before, or an address.
func (p *parser) joinTemplate(w *words) (template, error) {
	if c := *w; strings.ContainsAny(c.word(), ":/$") {
		return parseTemplate(w.word(), false)
	}
	name, err := p.node(w)
	return template{{literal, name}}, err
}

// node reads the name of a node that was started before.
func (p *parser) node(w *words) (string, error) {
	name := w.word()
	if name == "" {
		return "", errors.New("which node?")
	}
	if !p.nodes[name] {
		return "", fmt.Errorf("no node %q has been started before this line", name)
	}
	return name, nil
}

func (p *parser) newNode(w *words) (string, error) {
	name := w.word()
	if name == "server" {
		return "", errors.New("server is the one of -server, or started by the runner itself; give the node another name")
	}
	if p.actors[name] {
		return "", fmt.Errorf("%s is an actor already", name)
	}
	if err := newName(name, "a node"); err != nil {
		return "", err
	}
	p.nodes[name] = true
	return name, nil
}

func (p *parser) config(w *words) (action, error) {
	name, err := p.newNode(w)
	if err != nil {
		return nil, err
	}
	if err := w.end(); err != nil {
		return nil, err
	}
	a := &configStep{node: name}
	opened := p.at
	for p.at < len(p.lines) {
		p.at++
		line := p.lines[p.at-1]
		if line == "end" {
			return a, nil
		}
		t, err := parseTemplate(line, false)
		if err != nil {
			return nil, err
		}
		a.lines = append(a.lines, t)
	}
	return nil, fmt.Errorf("the block of line %d has no end", opened)
}

func (p *parser) start(w *words) (action, error) {
	a := &startStep{}
	for w.rest != "" {
		option := *w
		switch option.word() {
		case "join":
			*w = option
			to, err := p.joinTemplate(w)
			if err != nil {
				return nil, err
			}
			a.join = append(a.join, to)
		case "with":
			*w = option
			if !w.take("console") {
				return nil, errors.New("write `with console ACTOR`")
			}
			a.console = w.word()
			if err := newName(a.console, "an actor"); err != nil {
				return nil, err
			}
			p.actors[a.console] = true
		case "alone":
			*w = option
			a.alone = true
		default:
			if len(a.join) > 0 || a.console != "" {
				return nil, fmt.Errorf("%q is too much on this line", w.rest)
			}
			name, err := p.newNode(w)
			if err != nil {
				return nil, err
			}
			a.nodes = append(a.nodes, name)
		}
	}
	switch {
	case len(a.nodes) == 0:
		return nil, errors.New("start which node?")
	case a.console != "" && len(a.nodes) > 1:
		return nil, errors.New("only one node can have this console; start it on a line of its own")
	case a.alone && len(a.join) == 0:
		return nil, errors.New("alone is for nodes that cannot join whom they are told to join")
	}
	return a, nil
}

func (p *parser) stop(w *words) (action, error)   { return p.signals(w, stopNode) }
func (p *parser) kill(w *words) (action, error)   { return p.signals(w, killNode) }
func (p *parser) pause(w *words) (action, error)  { return p.signals(w, pauseNode) }
func (p *parser) resume(w *words) (action, error) { return p.signals(w, resumeNode) }

func (p *parser) signals(w *words, what nodeSignal) (action, error) {
	a := &signalStep{what: what}
	for {
		name, err := p.nodeTemplate(w)
		if err != nil {
			return nil, err
		}
		a.nodes = append(a.nodes, name)
		if w.rest == "" {
			return a, nil
		}
	}
}

func (p *parser) wait(w *words) (action, error) {
	name, err := p.nodeTemplate(w)
	if err != nil {
		return nil, err
	}
	switch w.word() {
	case "logs":
		if w.rest == "" {
			return nil, errors.New("logs what?")
		}
		t, err := parseTemplate(w.rest, true)
		return &logStep{node: name, pattern: t}, err
	case "ended":
		return &endedStep{node: name}, w.end()
	case "failed":
		return &endedStep{node: name, failed: true}, w.end()
	}
	return nil, errors.New("wait for what? there are `wait NODE logs PATTERN`, `wait NODE ended`, `wait NODE failed`")
}

func (p *parser) choose(w *words) (action, error) {
	a := &chooseStep{kind: w.word()}
	if a.kind != "channel" && a.kind != "nick" {
		return nil, errors.New("choose a channel or a nick: `choose channel NAME kept by NODE`")
	}
	a.name = w.word()
	if err := newName(a.name, "a variable"); err != nil {
		return nil, err
	}
	if !w.take("kept") {
		return nil, errors.New("write `choose channel NAME kept by NODE` or `kept outside NODE…`")
	}
	var err error
	switch w.word() {
	case "by":
		if a.by, err = p.node(w); err != nil {
			return nil, err
		}
		return a, w.end()
	case "outside":
		for {
			name, err := p.node(w)
			if err != nil {
				return nil, err
			}
			a.outside = append(a.outside, name)
			if w.rest == "" {
				return a, nil
			}
		}
	}
	return nil, errors.New("kept by a node, or outside of some?")
}

func (p *parser) idle(w *words) (action, error) {
	if w.take("gone") {
		return &idleGoneStep{}, w.end()
	}
	n, err := w.count()
	if err != nil {
		return nil, err
	}
	a := &idleStep{count: n}
	if !w.take("to") {
		return nil, errors.New("write `idle N to NODE` or `idle gone`")
	}
	if w.take("server") {
		a.place = "server"
	} else if a.place, err = p.node(w); err != nil {
		return nil, err
	}
	return a, w.end()
}

func (p *parser) anyOrder(w *words) (action, error) {
	if !w.take("order") || w.rest != "" {
		return nil, errors.New("write `any order`")
	}
	steps, _, err := p.expectations(false)
	return &anyOrderStep{steps}, err
}

func (p *parser) atOnce(w *words) (action, error) {
	if !w.take("once") || w.rest != "" {
		return nil, errors.New("write `at once`")
	}
	steps, _, err := p.block(false)
	if err != nil {
		return nil, err
	}
	for _, s := range steps {
		switch s.do.(type) {
		case *sendStep, *startStep, *signalStep, *closeStep, *garbleStep:
		default:
			return nil, fmt.Errorf("%q cannot be done at once with others; this block may have `ACTOR > …`, raw, garbles, closes, start, stop, kill, pause and resume", s.text)
		}
	}
	return &atOnceStep{steps}, nil
}

func (p *parser) either(w *words) (action, error) {
	if err := w.end(); err != nil {
		return nil, err
	}
	a := &eitherStep{}
	for {
		steps, stop, err := p.expectations(true)
		if err != nil {
			return nil, err
		}
		a.ways = append(a.ways, steps)
		if stop == "end" {
			break
		}
	}
	if len(a.ways) < 2 {
		return nil, errors.New("either needs an or")
	}
	return a, nil
}

func (p *parser) during(w *words) (action, error) {
	if !w.take("bursts") || !w.take("every") {
		return nil, errors.New("write `during bursts every DURATION`")
	}
	d, err := w.duration()
	if err != nil {
		return nil, err
	}
	if err := w.end(); err != nil {
		return nil, err
	}
	steps, _, err := p.block(false)
	return &duringStep{every: d, steps: steps}, err
}

func (p *parser) everyone(w *words) (action, error) {
	a := &everyoneStep{}
	if !w.take("on") {
		return nil, errors.New("write `everyone on CHANNEL has each once in order`")
	}
	var err error
	if a.channel, err = parseTemplate(w.word(), false); err != nil {
		return nil, err
	}
	switch strings.Join(strings.Fields(w.rest), " ") {
	case "has each once in order":
	case "has each once in one order":
		a.oneOrder = true
	default:
		return nil, errors.New("write `has each once in order` (each sender's) or `has each once in one order` (for all)")
	}
	return a, nil
}
