package storm

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"
)

// patience is how long an answer may take.
const patience = 30 * time.Second

// maxFailures is how many failures are reported.
const maxFailures = 5

// ErrOut is returned by Config.Dial for a client that cannot connect now, and will later.
var ErrOut = errors.New("not to be reached now")

// ErrLost is returned when reading from a connection that was lost, and not by what the client did.
var ErrLost = errors.New("connection lost")

// Config is what a run is made of.
type Config struct {
	Clients int
	// Dial connects client i, also again after its connection has ended; all must come to one network, on which
	// nobody else is. An operator "root" with the password "sesame" may be there.
	Dial func(i int) (net.Conn, error)
	// Program says what the clients do.
	Program []byte
	// Pause lets time go by, for as long as byte n of the program says; nil: none. What it finds running
	// has come to rest when it returns, where that can be waited for.
	Pause func(n int)
	// Harm damages the network, as byte n of the program says; nil: nothing does.
	Harm func(n int)
	// Mend returns when the network is whole again, and has had time to be quiet; nil: it always is.
	Mend func()
	// Log is given all lines, each with who sent it (>) or was shown it (<); nil: they are not wanted.
	Log func(line string)
}

// Count is how much a run was.
type Count struct {
	Commands int // lines that clients sent
	Shown    int // lines that they were shown
	Harms    int // calls of Config.Harm
}

// storm is a run.
type storm struct {
	Config
	program source
	clients []*client
	tasks   sync.WaitGroup // readers, and what they start
	labels  int

	mu     sync.Mutex
	count  Count
	failed []error
}

// Run has clients do what a program says, until it ends, and returns what must not have
// been, with the last lines of who saw it.
func Run(cfg Config) (Count, error) {
	s := &storm{Config: cfg, program: source{cfg.Program}, clients: make([]*client, cfg.Clients)}
	for i := range s.clients {
		s.enter(i)
	}
	for !s.program.over() && s.fine() {
		s.step()
	}
	if s.fine() && s.Mend != nil {
		s.Mend()
		s.comeBack()
	}
	if s.fine() {
		s.agree()
	}
	for _, c := range s.clients {
		if c != nil {
			c.mu.Lock()
			c.ending = true
			c.mu.Unlock()
			c.nc.Close()
			s.add(c)
		}
	}
	s.tasks.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count, errors.Join(s.failed...)
}

// Add adds another count.
func (c *Count) Add(more Count) {
	c.Commands += more.Commands
	c.Shown += more.Shown
	c.Harms += more.Harms
}

// add counts what a client has done.
func (s *storm) add(c *client) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.count.Add(c.count)
}

func (s *storm) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.failed) < maxFailures {
		s.failed = append(s.failed, err)
	}
}

func (s *storm) fine() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.failed) == 0
}

// enter connects client i, and lets it say something before it registers.
func (s *storm) enter(i int) {
	nc, err := s.Dial(i)
	if errors.Is(err, ErrOut) {
		return
	}
	if err != nil {
		s.fail(fmt.Errorf("client %d cannot connect: %w", i, err))
		return
	}
	c := newClient(fmt.Sprintf("client %d", i), nc, s.fail, &s.tasks)
	c.log = s.Log
	s.clients[i] = c
	s.tasks.Go(c.read)
	for range s.program.pick(4) {
		if line := s.program.line("none"); !strings.HasPrefix(line, "QUIT") && !strings.HasPrefix(line, "PASS") {
			c.send(line)
		}
	}
	c.send("CAP REQ :batch labeled-response")
	if s.ask(c, "CAP LS 302") != nil {
		return
	}
	for _, offer := range c.offer() {
		if name, _, _ := strings.Cut(offer, "="); s.program.pick(2) == 1 {
			c.send("CAP REQ :" + name)
		}
	}
	c.send("USER user 0 * :A user")
	c.send("CAP END")
	for n := 0; ; n++ {
		nick := fmt.Sprintf("c%d", i)
		if n > 0 {
			nick += fmt.Sprintf("-%d", n)
		}
		c.send("NICK " + nick)
		if s.ask(c, "PING in") != nil || n > 20 {
			return
		}
		c.mu.Lock()
		in := c.nick != "" || c.closed
		c.mu.Unlock()
		if in {
			return
		}
	}
}

// offer lists the capabilities of the server.
func (c *client) offer() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := c.offered
	c.offered = nil
	return list
}

// lately is the ID of the last message that the client was shown.
func (c *client) lately() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lastID == "" {
		return "none"
	}
	return c.lastID
}

// step has some clients say something at the same time, mostly up to three, and waits for all answers.
func (s *storm) step() {
	if s.Pause != nil {
		s.Pause(s.program.pick(256))
	}
	if s.Harm != nil && s.program.pick(32) == 0 {
		s.Harm(s.program.pick(256))
		s.count.Harms++
	}
	lines := 1 + s.program.pick(3)
	if s.program.pick(8) == 0 {
		lines += s.program.pick(12)
	}
	var waits []func()
	for range lines {
		c := s.clients[s.program.pick(len(s.clients))]
		line := s.program.line(c.lately())
		if !c.gone() {
			waits = append(waits, s.begin(c, line))
		}
	}
	for _, wait := range waits {
		wait()
	}
	s.comeBack()
}

// comeBack connects those again whose connection has ended.
func (s *storm) comeBack() {
	for i, c := range s.clients {
		if c.gone() && s.fine() {
			c.nc.Close()
			s.enter(i)
			if s.clients[i] != c {
				s.add(c)
			}
		}
	}
}

// ask sends a labelled line and waits for its answer.
func (s *storm) ask(c *client, line string) error {
	s.begin(c, line)()
	if !s.fine() {
		return errors.New("something is wrong")
	}
	return nil
}

// begin sends a labelled line; the function that it returns waits for the answer, and judges it.
func (s *storm) begin(c *client, line string) (wait func()) {
	label, a := s.label(c)
	if strings.HasPrefix(line, "TAGMSG") {
		c.send("@label=" + label + ";+typing=active " + line)
	} else {
		for n, line := range strings.Split(line, "\n") {
			if n == 0 {
				line = "@label=" + label + " " + line
			}
			c.send(line)
		}
	}
	return func() {
		if c.await("an answer to "+line, func() bool { return a.whole || c.ending }) != nil {
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.labels, label)
		if a.whole {
			c.judgeEnd(line, a)
		}
	}
}

// label is a new label of a client, and what will answer it.
func (s *storm) label(c *client) (string, *answer) {
	s.labels++
	label, a := fmt.Sprint("l", s.labels), &answer{}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.labels[label] = a
	return label, a
}

// ends are the numerics with which the answer to a query ends, whatever comes of it.
var ends = map[string][]string{
	"WHO": {"315"}, "WHOIS": {"318", "431"}, "WHOWAS": {"369", "431", "402"}, "NAMES": {"366"}, "LIST": {"323"},
	"MOTD": {"376", "422", "402"}, "LUSERS": {"266"}, "STATS": {"219", "402"}, "INFO": {"374", "402"}, "LINKS": {"365", "402"}, "MAP": {"017"},
	"TRACE": {"262", "402"}, "HELP": {"706", "524"}, "USERHOST": {"302", "461"}, "ISON": {"303", "461"}, "VERSION": {"005", "402"}, "TIME": {"391", "402"},
	"MONITOR L": {"733"}, "ISUPPORT": {"005"}, "AWAY": {"305", "306"}, "USERS": {"446"}, "SUMMON": {"445"}, "NONSENSE": {"421"}, "ADMIN": {"423", "256", "402"},
}

// judgeEnd asks for the end of the answer to a query.
func (c *client) judgeEnd(line string, a *answer) {
	command, _, _ := strings.Cut(line, " ")
	want := ends[command]
	if want == nil {
		want = ends[line] // with a subcommand
	}
	if want == nil {
		return
	}
	ended := slices.ContainsFunc(a.lines, func(m message) bool {
		return slices.Contains(want, m.command) || m.command == "FAIL" && m.param(1) == "INVALID_UTF8"
	})
	if !ended {
		c.wrong("%q has no end: %v", line, a.lines)
	}
}
