package script

import (
	"errors"
	"fmt"
	"strings"
)

// actor reads a statement that begins with the name of an actor.
func (p *parser) actor(name string, w *words) (action, error) {
	verb := w.word()
	if enter := entrances()[verb]; enter != nil {
		if err := newName(name, "an actor"); err != nil {
			return nil, err
		}
		if p.nodes[name] {
			return nil, fmt.Errorf("%s is a node already", name)
		}
		a, err := enter(p, name, w)
		p.actors[name] = err == nil
		return a, err
	}
	if !p.actors[name] {
		if verb == "" || !validName(name) {
			return nil, fmt.Errorf("%q begins no statement", name)
		}
		return nil, fmt.Errorf("no actor %q has entered or connected before this line, and %q begins no statement", name, name)
	}
	read, ok := actorVerbs()[verb]
	if !ok {
		return nil, fmt.Errorf("%q is nothing that an actor does", verb)
	}
	return read(p, name, w)
}

// entrances are the verbs with which an actor comes on the stage.
func entrances() map[string]func(*parser, string, *words) (action, error) {
	return map[string]func(*parser, string, *words) (action, error){
		"enters":   func(p *parser, name string, w *words) (action, error) { return p.enters(name, true, w) },
		"connects": func(p *parser, name string, w *words) (action, error) { return p.enters(name, false, w) },
		"runs":     (*parser).runs,
	}
}

func actorVerbs() map[string]func(*parser, string, *words) (action, error) {
	return map[string]func(*parser, string, *words) (action, error){
		">":           (*parser).send,
		"<":           (*parser).expect,
		"absent":      (*parser).absent,
		"fence":       (*parser).fence,
		"asks":        (*parser).asks,
		"raw":         (*parser).raw,
		"garbles":     (*parser).garbles,
		"bursts":      (*parser).bursts,
		"gone":        (*parser).gone,
		"closes":      closer(closeAll),
		"half-closes": closer(closeWrite),
		"freezes":     closer(stopReading),
		"thaws":       closer(readAgain),
	}
}

func (p *parser) enters(name string, register bool, w *words) (action, error) {
	a := &enterStep{actor: name, register: register, nick: template{{literal, name}}}
	if !register && !w.take("to") {
		return nil, errors.New("connects to what? write `connects to NODE`")
	}
	place := w.word()
	switch {
	case place == "":
		return nil, errors.New("enters where? write `enters NODE`, `enters server` or `enters HOST:PORT`")
	case place != "server" && !p.nodes[place] && !strings.ContainsAny(place, ":$"):
		return nil, fmt.Errorf("no node %q has been started before this line", place)
	}
	var err error
	if a.place, err = parseTemplate(place, false); err != nil {
		return nil, err
	}
	if w.take("over") {
		a.web = w.take("WebSocket")
		a.tls = w.take("TLS")
		if !a.web && !a.tls {
			return nil, errors.New("write `over TLS`, `over WebSocket` or `over WebSocket TLS`")
		}
		if a.tls && w.take("pinned") {
			if a.pinned, err = parseTemplate(w.word(), false); err != nil {
				return nil, err
			}
		}
	}
	for register && w.rest != "" {
		switch option := w.word(); option {
		case "as":
			a.nick, err = parseTemplate(w.word(), false)
		case "password":
			a.password, err = parseTemplate(w.word(), false)
		case "with":
			for w.rest != "" && !strings.HasPrefix(w.rest, "as ") && !strings.HasPrefix(w.rest, "password ") {
				a.caps = append(a.caps, w.word())
			}
			if len(a.caps) == 0 {
				err = errors.New("with which capabilities?")
			}
		default:
			err = fmt.Errorf("%q is too much; there are as NICK, password WORD, with CAPABILITY…", option)
		}
		if err != nil {
			return nil, err
		}
	}
	return a, w.end()
}

func (p *parser) runs(name string, w *words) (action, error) {
	a := &runStep{actor: name}
	for w.rest != "" {
		arg, err := parseTemplate(w.word(), false)
		if err != nil {
			return nil, err
		}
		a.args = append(a.args, arg)
	}
	if len(a.args) == 0 {
		return nil, errors.New("runs what? write `runs SUBCOMMAND ARGUMENT…`")
	}
	return a, nil
}

func (p *parser) send(name string, w *words) (action, error) {
	t, err := parseTemplate(w.rest, false)
	return &sendStep{actor: name, line: t, crlf: true, times: 1}, err
}

func (p *parser) raw(name string, w *words) (action, error) {
	text, err := w.quoted()
	if err != nil {
		return nil, err
	}
	a := &sendStep{actor: name, times: 1}
	if a.line, err = parseTemplate(text, false); err != nil {
		return nil, err
	}
	if w.take("times") {
		if a.times, err = w.count(); err != nil {
			return nil, err
		}
		if a.times*len(text) > maxStreamBytes {
			return nil, fmt.Errorf("more than %d bytes", maxStreamBytes)
		}
	}
	return a, w.end()
}

func (p *parser) garbles(name string, w *words) (action, error) {
	n, err := w.count()
	if err != nil {
		return nil, err
	}
	return &garbleStep{actor: name, bytes: n}, w.end()
}

func (p *parser) expect(name string, w *words) (action, error) {
	if w.rest == "" {
		return nil, errors.New("what line is expected?")
	}
	delete(p.armed, name)
	t, err := parseTemplate(w.rest, true)
	return &expectStep{actor: name, pattern: t}, err
}

func (p *parser) absent(name string, w *words) (action, error) {
	if w.rest == "" {
		return nil, errors.New("what line must be absent?")
	}
	if p.armed[name] == 0 {
		p.armed[name] = p.at
	}
	t, err := parseTemplate(w.rest, true)
	return &absentStep{actor: name, pattern: t}, err
}

func (p *parser) fence(name string, w *words) (action, error) {
	delete(p.armed, name)
	return &fenceStep{actor: name}, w.end()
}

func (p *parser) gone(name string, w *words) (action, error) {
	return &goneStep{actor: name}, w.end()
}

func (p *parser) asks(name string, w *words) (action, error) {
	line, until, ok := strings.Cut(w.rest, " until ")
	if !ok {
		return nil, errors.New("write `asks LINE until PATTERN`")
	}
	delete(p.armed, name)
	a := &askStep{expectStep: expectStep{actor: name}}
	var err error
	if a.line, err = parseTemplate(strings.TrimSpace(line), false); err != nil {
		return nil, err
	}
	a.pattern, err = parseTemplate(strings.TrimSpace(until), true)
	return a, err
}

func (p *parser) bursts(name string, w *words) (action, error) {
	a := &burstStep{actor: name}
	var err error
	if a.count, err = w.count(); err != nil {
		return nil, err
	}
	if !w.take("to") {
		return nil, errors.New("write `bursts N to TARGET \"text %d\" every DURATION`")
	}
	if a.target, err = parseTemplate(w.word(), false); err != nil {
		return nil, err
	}
	text, err := w.quoted()
	if err != nil {
		return nil, err
	}
	if strings.Count(text, "%d") != 1 {
		return nil, errors.New("the text of a burst needs one %d, where the number goes")
	}
	if a.text, err = parseTemplate(text, false); err != nil {
		return nil, err
	}
	if !w.take("every") {
		return nil, errors.New("every how long? write `every 5ms`")
	}
	if a.every, err = w.duration(); err != nil {
		return nil, err
	}
	return a, w.end()
}

func closer(what closing) func(*parser, string, *words) (action, error) {
	return func(p *parser, name string, w *words) (action, error) {
		return &closeStep{actor: name, what: what}, w.end()
	}
}
