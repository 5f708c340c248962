package script

import (
	"context"
	"errors"
	"fmt"
)

// Network is a network between the nodes that a session can cut in two.
type Network interface {
	// Cut makes that nothing passes between any of one and any of others, in
	// either direction. Actors still reach all nodes.
	Cut(one, others []string) error
	// CutOneWay makes that nothing passes from any of one to any of others; the
	// other way it does.
	CutOneWay(one, others []string) error
	// Mend undoes every Cut.
	Mend() error
}

var errNoNetwork = errors.New("the nodes of this run are on one machine, with no network between them that could be cut")

type cutStep struct {
	one, others []string
	oneWay      bool
}

func (a *cutStep) play(_ context.Context, p *play, _ *step) error {
	if p.opts.Network == nil {
		return errNoNetwork
	}
	cut := p.opts.Network.Cut
	if a.oneWay {
		cut = p.opts.Network.CutOneWay
	}
	if err := cut(a.one, a.others); err != nil {
		return fmt.Errorf("cutting the network: %w", err)
	}
	return nil
}

type mendStep struct{}

func (mendStep) play(_ context.Context, p *play, _ *step) error {
	if p.opts.Network == nil {
		return errNoNetwork
	}
	if err := p.opts.Network.Mend(); err != nil {
		return fmt.Errorf("mending the network: %w", err)
	}
	return nil
}

func (p *parser) cut(w *words) (action, error) {
	a := &cutStep{}
	for !w.take("from") {
		if a.oneWay = w.take("to"); a.oneWay {
			break
		}
		name, err := p.node(w)
		if err != nil {
			return nil, err
		}
		a.one = append(a.one, name)
	}
	for w.rest != "" {
		name, err := p.node(w)
		if err != nil {
			return nil, err
		}
		a.others = append(a.others, name)
	}
	if len(a.one) == 0 || len(a.others) == 0 {
		return nil, errors.New("write `cut NODE… from NODE…`, or `to` for one way only")
	}
	return a, nil
}

func (p *parser) mend(w *words) (action, error) { return mendStep{}, w.end() }
