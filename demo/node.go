package demo

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// node is one node of the ring: a number, a data directory, and, while it
// runs, a process.
type node struct {
	number  int
	program []string // command line up to the flags
	overlay string
	dir     string    // its data directory
	log     io.Writer // takes its log beside the file; may be nil

	mu   sync.Mutex
	at   Ready    // of its last start
	proc *process // nil: it does not run
}

// startTime is how long a node may take until it serves.
const startTime = 20 * time.Second

// start starts the node and waits until it serves. At the first start the
// system chooses its ports; later ones take the port at which other nodes remember it.
func (n *node) start(ctx context.Context, join ...string) error {
	listen := n.ready().Overlay
	if listen == "" {
		listen = "127.0.0.1:0"
	}
	args := append(n.program[1:len(n.program):len(n.program)],
		"-data", n.dir, "-overlay", n.overlay, "-listen", listen, "-irc", "127.0.0.1:0", "-discovery=false")
	for _, j := range join {
		args = append(args, "-join", j)
	}
	log, err := os.OpenFile(n.dir+".log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	p, err := launch(exec.Command(n.program[0], args...), log, n.log)
	if err != nil {
		return fmt.Errorf("node %d: %w", n.number, err)
	}
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	a, err := p.answer(ctx)
	if err == nil && a.Ready == nil {
		err = errors.New("it answered before it was ready: " + a.Error)
	}
	if err != nil {
		p.kill()
		p.wait()
		return fmt.Errorf("node %d did not start: %w%s", n.number, err, lastLines(n.dir+".log"))
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.at, n.proc = *a.Ready, p
	return nil
}

// lastLines are the last lines of a log, for an error.
func lastLines(file string) string {
	const most = 2000
	text, err := os.ReadFile(file)
	if err != nil || len(text) == 0 {
		return ""
	}
	return "; the end of its log:\n" + string(text[max(0, len(text)-most):])
}

// kill ends the node as kill -9 does: it has no say in it. It returns at once.
func (n *node) kill() *process {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.proc
	n.proc = nil
	if p != nil {
		p.kill()
	}
	return p
}

// sever cuts the network between this node and others; none: mends it.
func (n *node) sever(ctx context.Context, beyond []*node) error {
	n.mu.Lock()
	p := n.proc
	n.mu.Unlock()
	if p == nil {
		return fmt.Errorf("node %d does not run", n.number)
	}
	o := order{Sever: []string{}}
	for _, other := range beyond {
		o.Sever = append(o.Sever, other.ready().Peer)
	}
	if err := p.tell(o); err != nil {
		return fmt.Errorf("node %d: %w", n.number, err)
	}
	a, err := p.answer(ctx)
	if err == nil && a.Error != "" {
		err = errors.New(a.Error)
	}
	if err != nil {
		return fmt.Errorf("node %d did not cut its network: %w", n.number, err)
	}
	return nil
}

func (n *node) ready() Ready {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.at
}

// irc is where clients connect, "" while the node does not run.
func (n *node) irc() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.proc == nil {
		return ""
	}
	return n.at.IRC
}

// process is a child that runs.
type process struct {
	cmd     *exec.Cmd
	in      io.WriteCloser // its standard input; the end of it is its end
	answers chan answer
	ended   chan struct{} // closed when it is gone
	err     error         // how it ended; set before ended is closed
}

// launch starts a child, whose log goes to a file that is closed in the end,
// and to more unless that is nil.
func launch(cmd *exec.Cmd, log *os.File, more io.Writer) (*process, error) {
	cmd.Stderr = log
	if more != nil {
		cmd.Stderr = io.MultiWriter(log, more)
	}
	in, err := cmd.StdinPipe()
	var out io.ReadCloser
	if err == nil {
		out, err = cmd.StdoutPipe()
	}
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	p := &process{cmd: cmd, in: in, answers: make(chan answer, 4), ended: make(chan struct{})}
	go func() {
		p.listen(out)
		p.err = cmd.Wait()
		_ = log.Close() // a log that could not be written is no concern of the story
		close(p.ended)
	}()
	return p, nil
}

// listen takes the child's answers until it is gone.
func (p *process) listen(out io.Reader) {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var a answer
		if json.Unmarshal(lines.Bytes(), &a) != nil {
			a.Error = "its answer is not understood"
		}
		select {
		case p.answers <- a:
		default: // nobody asked for so many
		}
	}
	_, _ = io.Copy(io.Discard, out) // a line was too long; the child must not wait
}

// answer is the child's next answer.
func (p *process) answer(ctx context.Context) (answer, error) {
	select {
	case a := <-p.answers:
		return a, nil
	case <-p.ended:
		return answer{}, fmt.Errorf("its process has ended (%v)", p.err)
	case <-ctx.Done():
		return answer{}, context.Cause(ctx)
	}
}

func (p *process) tell(o order) error {
	text, err := json.Marshal(o)
	if err == nil {
		_, err = p.in.Write(append(text, '\n'))
	}
	return err
}

func (p *process) kill() { _ = p.cmd.Process.Kill() } // fails only when it is gone already

// wait waits until the process is gone.
func (p *process) wait() {
	if p != nil {
		<-p.ended
	}
}

// prefixed writes each line with a prefix, as one Write of out.
type prefixed struct {
	prefix string
	out    io.Writer
	mu     *sync.Mutex // of out
	rest   []byte
}

func (w *prefixed) Write(b []byte) (int, error) {
	w.rest = append(w.rest, b...)
	for {
		i := strings.IndexByte(string(w.rest), '\n')
		if i < 0 {
			return len(b), nil
		}
		w.mu.Lock()
		_, err := io.WriteString(w.out, w.prefix+string(w.rest[:i+1]))
		w.mu.Unlock()
		if err != nil {
			return 0, err
		}
		w.rest = w.rest[i+1:]
	}
}

// nodeDir is where the node of a number has its files.
func nodeDir(all string, number int) string { return filepath.Join(all, fmt.Sprintf("node%d", number)) }
