package script

import (
	"fmt"
	"slices"
	"strings"
)

// tailLines is how many of the last lines of an actor or a node a failure
// shows.
const (
	tailLines  = 20
	otherLines = 3 // of those that the step is not about
)

// report makes the message of a failed step.
func (p *play) report(s *step, err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var b strings.Builder
	about := p.speakersLocked(s)
	for _, name := range about {
		fmt.Fprintf(&b, "last lines that %s received:\n%s", name, p.actors[name].in.tail(tailLines))
	}
	for _, name := range sortedKeys(p.actors) {
		if !slices.Contains(about, name) {
			fmt.Fprintf(&b, "last lines that %s received:\n%s", name, p.actors[name].in.tail(otherLines))
		}
	}
	for _, name := range sortedKeys(p.nodes) {
		n := p.nodes[name]
		fmt.Fprintf(&b, "last lines of %s's log (%s):\n%s", name, n.stateLocked(), n.log.tail(tailLines))
	}
	return fmt.Errorf("%s:%d: %s: %w\n%s", p.script.name, s.line, s.text, err, strings.TrimRight(b.String(), "\n"))
}

// speakersLocked are the actors a step is about, or all of them.
func (p *play) speakersLocked(s *step) []string {
	about := map[string]*actor{}
	var add func(a action)
	add = func(a action) {
		if name := actorOf(a); p.actors[name] != nil {
			about[name] = p.actors[name]
		}
		for _, each := range stepsIn(a) {
			add(each.do)
		}
	}
	add(s.do)
	if len(about) == 0 {
		about = p.actors
	}
	return sortedKeys(about)
}

func actorOf(a action) string {
	switch a := a.(type) {
	case *expectStep:
		return a.actor
	case *askStep:
		return a.actor
	case *goneStep:
		return a.actor
	case *fenceStep:
		return a.actor
	case *enterStep:
		return a.actor
	case *sendStep:
		return a.actor
	}
	return ""
}

func stepsIn(a action) []*step {
	switch a := a.(type) {
	case *anyOrderStep:
		return a.steps
	case *atOnceStep:
		return a.steps
	case *duringStep:
		return a.steps
	case *eitherStep:
		return slices.Concat(a.ways...)
	}
	return nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
