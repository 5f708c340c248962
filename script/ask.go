package script

import (
	"context"
	"fmt"
	"time"
)

// askPause is the time between two questions of one askStep.
const askPause = 200 * time.Millisecond

// askStep sends a line again and again until the right answer comes. It is for
// what becomes true some time later without anybody being told.
type askStep struct {
	expectStep
	line template
}

func (a *askStep) play(ctx context.Context, p *play, s *step) error {
	line, err := p.text(a.line)
	if err != nil {
		return err
	}
	c, err := a.prepare(p)
	if err != nil {
		return err
	}
	who, err := p.actor(a.actor)
	if err != nil {
		return err
	}
	limit := p.limit(s)
	deadline := time.Now().Add(limit)
	for asked := 1; ; asked++ {
		left := time.Until(deadline)
		if err := p.send(who, line, max(left, askPause)); err != nil {
			return err
		}
		try := *s
		try.within = askPause
		err := p.await(ctx, &try, []condition{c})
		if err == nil || !isTimeout(err) {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%w, asked %d times, came:\n%s", errTimeout{limit}, asked, list([]condition{c}))
		}
	}
}
