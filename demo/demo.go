package demo

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"ircbridge/history"
)

// Config says what is played, and with what.
type Config struct {
	// Program is the command line that starts a child, up to its flags.
	Program []string
	// Nodes is how many there are, 3 to 20.
	Nodes int
	// Seed draws whose keeper dies, who is on which side, and what bots say when.
	Seed uint64
	// Out takes the story and the table at its end.
	Out io.Writer
	// Log takes the nodes' logs, each line with its node; nil: nobody sees them.
	Log io.Writer
	// Keep leaves the directory with the nodes' data and logs, and says where it is.
	Keep bool
	// Place asks the node that runs on a data directory for its place on its ring.
	Place func(ctx context.Context, dataDir string) (Place, error)
	// Keeper has the node that runs on a data directory look up who keeps a channel.
	Keeper func(ctx context.Context, dataDir, channel string) (Keeping, error)
}

// ErrFailed: the story was played to its end, and something went wrong that
// must not: the table says what.
var ErrFailed = errors.New("the demonstration failed: see above")

// limit is for the whole story; it takes well under a minute where nothing hangs.
const limit = 2 * time.Minute

// Run plays the demonstration. It returns nil only when nothing was lost, shown
// twice or shown in a wrong order, and all scenes came to their ends. Whatever
// it returns, and whenever ctx ends, all its processes are gone by then, and
// its directory unless that is to be kept.
func Run(ctx context.Context, cfg Config) (err error) {
	p, err := newPlan(cfg.Nodes, cfg.Seed)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", dirPrefix)
	if err != nil {
		return fmt.Errorf("a place for the nodes' files: %w", err)
	}
	defer func() { err = errors.Join(err, tidy(cfg, dir)) }()
	s, err := newStory(cfg, p, dir)
	if err != nil {
		return err
	}
	fmt.Fprintf(cfg.Out, "%s nodes, seed %d. Times are in seconds since the start.\n", capital(spell(cfg.Nodes)), cfg.Seed)
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("the story took more than %v", limit))
	defer cancel()
	if err := s.perform(ctx); err != nil {
		return err
	}
	report := s.ledger.h.Check(s.rules())
	writeTable(cfg.Out, report, s.problems)
	if !report.OK() || len(s.problems) > 0 {
		return ErrFailed
	}
	return nil
}

// tidy removes what the nodes had on disk, or says where it is.
func tidy(cfg Config, dir string) error {
	if cfg.Keep {
		fmt.Fprintf(cfg.Out, "\nThe nodes' files and logs are in %s\n", dir)
		return nil
	}
	return os.RemoveAll(dir)
}

func newStory(cfg Config, p plan, dir string) (*story, error) {
	var id [6]byte
	if _, err := rand.Read(id[:]); err != nil {
		return nil, err
	}
	overlay := OverlayPrefix + hex.EncodeToString(id[:])
	began := time.Now()
	clock := func() time.Duration { return time.Since(began) }
	s := &story{
		narrator: &narrator{out: cfg.Out, clock: clock}, plan: p, ledger: newLedger(clock),
		ring: &ring{place: cfg.Place, keeper: cfg.Keeper},
	}
	program := cfg.Program
	if cfg.Keep {
		program = append(program[:len(program):len(program)], "-keep")
	}
	var logging sync.Mutex
	for i := 1; i <= p.nodes; i++ {
		n := &node{number: i, program: program, overlay: overlay, dir: nodeDir(dir, i)}
		if cfg.Log != nil {
			n.log = &prefixed{prefix: fmt.Sprintf("node %d: ", i), out: cfg.Log, mu: &logging}
		}
		s.ring.nodes = append(s.ring.nodes, n)
		s.bots = append(s.bots, &bot{nick: names[i-1], home: n, ledger: s.ledger, says: p.chatter(i)})
	}
	return s, nil
}

// perform plays the story, and ends all that it has started.
func (s *story) perform(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	var bots sync.WaitGroup
	defer bots.Wait()
	defer s.ring.killAll(s.ring.nodes)
	defer stop()
	for _, b := range s.bots {
		bots.Go(func() { b.run(ctx) })
	}
	return s.play(ctx)
}

// settled is how long it must have been quiet at the end, and within what time
// an accepted message must be with everybody who stays.
const settled = 2 * time.Second

// rules are what is asked of what the bots saw. Of a refused message its sender
// knows only that nobody answered in time: it may have been taken. An echo says
// that a message is safe, which is later than its place in the channel. What was
// said on one side of a split is to come to the other in the end.
func (s *story) rules() history.Rules {
	return history.Rules{
		After: settled, UnderWay: time.Second, AcrossSplits: true, AnswerWithin: 8 * time.Second, End: s.clock(), Breaks: s.breaks,
	}
}
