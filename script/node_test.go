package script

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The test binary is also the program under test: a node that prints what
// one prints, and logs the commands that its clients send.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "run" {
		if err := fakeNode(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if len(os.Args) > 1 && os.Args[1] == "say" {
		fmt.Println(strings.Join(os.Args[2:], "|"))
		line, _ := bufio.NewReader(os.Stdin).ReadString('\n') // at the end of the input it says what came
		fmt.Fprint(os.Stderr, "heard "+line)
		os.Exit(3)
	}
	os.Exit(m.Run())
}

func fakeNode(args []string) error {
	flags := flag.NewFlagSet("run", flag.ContinueOnError)
	config := flags.String("config", "", "")
	irc := flags.String("irc", "", "")
	listen := flags.String("listen", "", "")
	join := flags.String("join", "", "")
	data := flags.String("data", "", "")
	console := flags.Bool("console", false, "")
	nick := flags.String("nick", "", "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	if err := os.MkdirAll(*data, 0o700); err != nil {
		return err
	}
	out := os.Stderr
	if *console {
		var err error
		if out, err = os.OpenFile(filepath.Join(*data, "ircbridge.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
			return err
		}
	}
	log := slog.New(slog.NewTextHandler(out, nil))
	text, err := os.ReadFile(*config)
	if err != nil {
		return err
	}
	if strings.Contains(string(text), "wrong") {
		return fmt.Errorf("the configuration is wrong")
	}
	l, err := net.Listen("tcp", *irc)
	if err != nil {
		return err
	}
	fmt.Printf("Node %s\nPeer ID:  Q%s\n", fakeID(*data), fakeID(*data)[:2])
	if *join != "" {
		log.Info("joined the ring", "through", *join)
		log.Info("the successor listed what lies in our range; we answer for it now")
	}
	log.Info("listening", "listen", *listen)
	s := &fakeServer{listener: l}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			log.Info("client connected")
			go s.serve(conn)
		}
	}()
	if *console {
		go func() {
			in := bufio.NewScanner(os.Stdin)
			for in.Scan() {
				fmt.Printf("%s typed %s\n", *nick, in.Text())
				if in.Text() == "exit" {
					stop <- os.Interrupt
				}
			}
		}()
	}
	<-stop
	log.Info("stopping")
	return nil
}

// fakeID is another ID for each node of a session: that of its place in the
// alphabet, so that the order on the ring is known.
func fakeID(data string) string {
	name := filepath.Base(filepath.Dir(data))
	return fmt.Sprintf("%02x%038d", 0x40*(name[len(name)-1]-'0'), 0)
}

func runNodes(t *testing.T, text string) error {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("processes are only stopped on Unix")
	}
	s, err := Parse("test.txt", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Run(context.Background(), s, Options{Program: program, Timeout: 10 * time.Second, Dir: t.TempDir()})
}

func TestNodesThatHold(t *testing.T) {
	for name, text := range map[string]string{
		"start, stop, start again": `
			start n1
			start n2 n3 join n1
			alice enters n2
			wait n2 logs *client connected*
			stop n2
			alice gone
			start n2 join n3
			wait n2 logs *through=${n3.listen}*
			alice enters n2`,
		"kill and pause": `
			start n1
			alice enters n1
			pause n1
			resume n1
			alice fence
			at once
			  kill n1
			  alice > PING x
			end
			alice gone
			wait n1 failed`,
		"console": `
			start n1 with console grace
			wait n1 logs *listening*
			grace > names #c
			grace < grace typed names #c
			grace > exit
			wait n1 ended`,
		"the server is started when it is needed": `
			alice enters server
			bob enters server
			alice > PRIVMSG bob :x
			bob < * :x`,
		"a node that does not start": `
			start n1
			config n2
			  wrong
			end
			let x = ${n1.id}
			stop n1`,
		"what is known of a node": `
			start n1
			start n2 join /ip4/${n1.ip}/tcp/${n1.port}/p2p/${n1.peer}
			wait n2 logs *through=/ip4/127.0.0.1/tcp/*/p2p/Q40*
			start n3 join ${n1.listen}
			wait n3 logs *through=${n1.listen}*
			sue runs say ${n1.data} ${n1.tls}
			sue < *n1*data|127.0.0.1:*`,
		"at a shell": `
			sue runs say a\sb c
			sue < a b|c
			sue > something
			sue < heard something
			sue < exit status 3
			sue gone
			sue runs say again
			sue < again
			sue closes
			sue < signal: killed`,
		"choose": `
			start n1
			start n2 join n1
			start n3 join n1
			choose channel c kept by n2
			choose channel d kept outside n2
			let x = ${c.keeper} ${c.next} ${c.next.id} ${d.keeper}
			wait ${c.next} logs *joined*
			alice enters n1
			alice > JOIN ${c}
			alice < * JOIN #c*
			stop ${c.keeper}
			choose nick n kept by n2
			choose nick m kept by n1
			alice > NICK ${n}
			alice < * NICK *`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := runNodes(t, text); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestNodesThatFail(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"wrong configuration": {"config n1\nwrong\nend\nstart n1",
			[]string{"test.txt:4: start n1: n1 did not become ready", "exit status 1", "last lines of n1's log (ended: exit status 1):", "the configuration is wrong"}},
		"log line that does not come": {"start n1\nwithin 50ms wait n1 logs *never*", []string{"n1 logs *never*", "msg=listening"}},
		"a log line serves once":      {"start n1\nwait n1 logs *listening*\nwithin 50ms wait n1 logs *listening*", []string{"test.txt:3"}},
		"twice":                       {"start n1\nstart n1", []string{"n1 runs already"}},
		"stopped twice":               {"start n1\nstop n1\nstop n1", []string{"n1 does not run"}},
		"not ended":                   {"start n1\nwithin 50ms wait n1 ended", []string{"n1 ended"}},
		"ended badly":                 {"start n1\nkill n1\nwait n1 ended", []string{"did not end well: signal: killed"}},
		"no such node":                {"start n1\nlet x = n9\nstop ${x}", []string{`there is no node "n9"`}},
		"choose the impossible":       {"start n1\nchoose channel c kept outside n1", []string{"no channel of 200000"}},
		"choose unknown":              {"config n1\nend\nchoose channel c kept by n1", []string{"must have run once"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := runNodes(t, c.text)
			if err == nil {
				t.Fatal("the session held")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in:\n%v", want, err)
				}
			}
		})
	}
}

// wires is a network that writes down what is done to it.
type wires struct{ done []string }

func (w *wires) Cut(one, others []string) error {
	w.done = append(w.done, fmt.Sprintf("cut %v %v", one, others))
	return nil
}

func (w *wires) CutOneWay(one, others []string) error {
	w.done = append(w.done, fmt.Sprintf("cut %v to %v", one, others))
	return nil
}

func (w *wires) Mend() error {
	w.done = append(w.done, "mend")
	return errors.New("no pliers")
}

func TestNetwork(t *testing.T) {
	s, err := Parse("test.txt", strings.NewReader("config n1\nend\nconfig n2\nend\nconfig n3\nend\ncut n1 n2 from n3\ncut n1 to n2\nmend"))
	if err != nil {
		t.Fatal(err)
	}
	w := &wires{}
	err = Run(context.Background(), s, Options{Dir: t.TempDir(), Network: w})
	if err == nil || !strings.Contains(err.Error(), "test.txt:9: mend: mending the network: no pliers") {
		t.Errorf("%v, want the error of Mend", err)
	}
	if got := strings.Join(w.done, "; "); got != "cut [n1 n2] [n3]; cut [n1] to [n2]; mend" {
		t.Errorf("done: %s", got)
	}
	err = Run(context.Background(), s, Options{Dir: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "test.txt:7: cut n1 n2 from n3: the nodes of this run are on one machine") {
		t.Errorf("%v without a network", err)
	}
}

func TestSuccessor(t *testing.T) {
	var ring []*node
	for _, first := range []string{"3", "6", "9"} {
		ring = append(ring, &node{id: first + strings.Repeat("0", 39)})
	}
	for key, want := range map[byte]*node{0x20: ring[0], 0x30: ring[0], 0x70: ring[2], 0xa0: ring[0]} {
		k := make([]byte, 20)
		k[0] = key
		if got := successor(ring, k); got != want {
			t.Errorf("key %x: %s, want %s", key, got.id, want.id)
		}
	}
}

func TestPlace(t *testing.T) {
	if _, err := exec.LookPath("env"); err != nil {
		t.Skip("needs the program env")
	}
	s, err := Parse("test.txt", strings.NewReader("start n1\nwait n1 logs *listen=127.0.0.2:*\nalice enters n1"))
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	err = Run(context.Background(), s, Options{Program: program, Dir: t.TempDir(), Place: func(node string) (Place, error) {
		return Place{IP: "127.0.0.2", Prefix: []string{"env", "PLACE=" + node}}, nil
	}})
	if err != nil && runtime.GOOS == "linux" { // elsewhere loopback has one address only
		t.Error(err)
	}
}
