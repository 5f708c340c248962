package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"ircbridge/bridge"
	"ircbridge/chat"
	"ircbridge/chat/chattest"
)

const example = "../../config.example.toml"

// decided are the keys of the example whose default the machine decides.
var decided = regexp.MustCompile(`(?m)^#([a-z_]+ = )`)

// decodeExample runs every front-end's factory on a configuration file, and
// returns the configuration and what each front-end decoded: what stood in
// the value before (its defaults) and after.
func decodeExample(t *testing.T, path string) (cfg bridge.Config, before, after map[string]any) {
	t.Helper()
	cfg, err := bridge.Load(path, bridge.Overrides{})
	if err != nil {
		t.Fatal(err)
	}
	before, after = map[string]any{}, map[string]any{}
	for name, factory := range frontends() {
		decode := bridge.Decoder(cfg, name)
		_, err := factory(chat.Setup{
			Service: chattest.NewService(chattest.Options{}),
			Decode: func(v any) error {
				before[name] = reflect.ValueOf(v).Elem().Interface()
				err := decode(v)
				after[name] = reflect.ValueOf(v).Elem().Interface()
				return err
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		if before[name] == nil {
			t.Fatalf("front-end %s decodes no table", name)
		}
	}
	if _, err := bridge.New(cfg, bridge.Env{Frontends: frontends()}); err != nil {
		t.Fatal(err)
	}
	return cfg, before, after
}

func TestExampleShowsTheDefaults(t *testing.T) {
	got, before, after := decodeExample(t, example)
	want, err := bridge.Load("", bridge.Overrides{})
	if err != nil {
		t.Fatal(err)
	}
	if got.Node.Join = nil; !reflect.DeepEqual(got.Node, want.Node) || got.Overlay != want.Overlay {
		t.Errorf("got %+v %+v, want %+v %+v", got.Overlay, got.Node, want.Overlay, want.Node)
	}
	for name := range before {
		if !reflect.DeepEqual(before[name], after[name]) {
			t.Errorf("[%s]: the example says %+v, the default is %+v", name, after[name], before[name])
		}
	}
}

// Also the lines that are commented out are right, and no key is missing.
func TestExampleShowsEveryKey(t *testing.T) {
	text, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	all := decided.ReplaceAllString(string(text), "$1")
	path := filepath.Join(t.TempDir(), "all.toml")
	if err := os.WriteFile(path, []byte(all), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, _, after := decodeExample(t, path)
	after["overlay"], after["node"] = cfg.Overlay, cfg.Node
	for table, v := range after {
		for _, key := range keysOf(table, reflect.TypeOf(v)) {
			if !slices.Contains(keysIn(all), key) {
				t.Errorf("%s is missing", key)
			}
		}
	}
}

// keysOf are the dotted keys of a configuration table.
func keysOf(prefix string, t reflect.Type) (keys []string) {
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("toml"), ",")
		switch {
		case name == "":
		case f.Type.Kind() == reflect.Struct:
			keys = append(keys, keysOf(prefix+"."+name, f.Type)...)
		default:
			keys = append(keys, prefix+"."+name)
		}
	}
	return keys
}

// keysIn are the dotted keys of a simple TOML text.
func keysIn(text string) (keys []string) {
	table := ""
	for line := range strings.Lines(text) {
		if name, ok := strings.CutPrefix(line, "["); ok {
			table, _, _ = strings.Cut(name, "]")
		} else if name, _, ok := strings.Cut(line, " = "); ok && !strings.HasPrefix(line, "#") {
			keys = append(keys, table+"."+name)
		}
	}
	return keys
}

func TestCommandLine(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	dir := t.TempDir()
	tests := []struct {
		args   []string
		status int
		stdout string // a part of it
		stderr string // all of it
	}{
		{[]string{"stauts"}, 2, "", "ircbridge: there is no subcommand \"stauts\"; there are run, status, invite, lookup, demo, script, hash, completion, version, help\n"},
		{[]string{"-frobnicate"}, 2, "", "ircbridge: flag provided but not defined: -frobnicate; ircbridge help lists the flags\n"},
		{[]string{"run", "host:4747"}, 2, "", "ircbridge: run takes flags only, but got \"host:4747\"; ircbridge help lists them\n"},
		{[]string{"-nick", "x"}, 2, "", "ircbridge: -nick names the user at the console; add -console, or leave -nick away (an IRC client brings its own nick)\n"},
		{[]string{"-listen", "nowhere"}, 2, "", "ircbridge: -listen: \"nowhere\" is no address with a port; write IP:PORT or :PORT, such as \"0.0.0.0:4747\"\n"},
		{[]string{"-config", "/nowhere/x.toml"}, 2, "", "ircbridge: /nowhere/x.toml: there is no such file; config.example.toml shows what may stand in it, and without -config a node needs none\n"},
		{[]string{"demo", "-nodes", "2"}, 2, "", "ircbridge: demo: a demonstration has 3 to 20 nodes, not 2\n"},
		{[]string{"demo", "now"}, 2, "", "ircbridge: demo takes flags only, but got \"now\"; ircbridge help lists them\n"},
		{[]string{"demo-node"}, 2, "", "ircbridge: demo-node is a part of the demonstration; for a node: ircbridge run, for the demonstration: ircbridge demo\n"},
		{[]string{"hash", "secret"}, 2, "", "ircbridge: hash takes no arguments: the password is read from standard input, where nobody sees it in a list of processes\n"},
		{[]string{"version", "x"}, 2, "", "ircbridge: version takes no arguments, but got \"x\"\n"},
		{[]string{"version"}, 0, "ircbridge " + version, ""},
		{[]string{"help"}, 0, "ircbridge [run] " + runUsage, ""},
		{[]string{"-h"}, 0, "-join PEER", ""},
		{[]string{"run", "-help"}, 0, "ircbridge script ", ""},
		{[]string{"-data", dir, "-listen", "127.0.0.1:0", "-irc", "0.0.0.0:0"}, 2, "",
			"ircbridge: [irc] listen = \"0.0.0.0:0\": other machines could connect there, in plain text and without a password: listen on 127.0.0.1, or set a password, or insecure = true if that is meant\n"},
	}
	for _, test := range tests {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			status := dispatch(test.args, &stdout, &stderr)
			if status != test.status || stderr.String() != test.stderr || !strings.Contains(stdout.String(), test.stdout) {
				t.Errorf("status %d, want %d\nstdout: %s\nstderr: %s\nwant:   %s", status, test.status, stdout.String(), stderr.String(), test.stderr)
			}
		})
	}
}

// A second node on a locked directory is told the line that works; that line
// is then run.
func TestSecondStart(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	dir := filepath.Join(t.TempDir(), "a b")
	first := startProgram(t, "-discovery=false", "-data", dir, "-listen", "127.0.0.1:0", "-irc", "127.0.0.1:0")
	defer first.stop(t)

	var stdout, stderr bytes.Buffer
	if status := dispatch([]string{"-data", dir, "-discovery=false"}, &stdout, &stderr); status != 1 {
		t.Fatalf("status %d", status)
	}
	line := regexp.MustCompile(`^ircbridge: another ircbridge runs on the data directory .*/a b; a second node starts with: ` +
		`ircbridge -data '(.*/a b-2)' -irc (127\.0\.0\.1:66\d\d) -listen (:47\d\d) -discovery=false\n$`).FindStringSubmatch(stderr.String())
	if line == nil {
		t.Fatalf("stderr: %q", stderr.String())
	}
	startProgram(t, "-data", line[1], "-irc", line[2], "-listen", line[3], "-discovery=false").stop(t)
}

// program is a node that runs in this process.
type program struct {
	cancel         context.CancelFunc
	ended          chan int
	reload         chan struct{}
	stdout, stderr *watched
}

func startProgram(t *testing.T, args ...string) *program {
	t.Helper()
	f := newRunFlags()
	if err := f.parse(args); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	p := &program{cancel: cancel, ended: make(chan int, 1), reload: make(chan struct{}), stdout: newWatched(), stderr: newWatched()}
	go func() { p.ended <- f.run(ctx, p.reload, p.stdout, p.stderr) }()
	if err := p.stdout.await("ircbridge -join ", 10*time.Second); err != nil {
		cancel()
		t.Fatalf("%v\nstderr: %s", err, p.stderr)
	}
	return p
}

func (p *program) stop(t *testing.T) {
	t.Helper()
	p.cancel()
	select {
	case status := <-p.ended:
		if status != statusOK {
			t.Errorf("status %d\nstderr: %s", status, p.stderr)
		}
	case <-time.After(10 * time.Second):
		t.Errorf("the node does not end\nstderr: %s", p.stderr)
	}
}

// watched is a buffer that can be waited on.
type watched struct {
	locked chan *bytes.Buffer // holds the buffer while nobody uses it
	wrote  chan struct{}
}

func newWatched() *watched {
	w := &watched{locked: make(chan *bytes.Buffer, 1), wrote: make(chan struct{}, 1)}
	w.locked <- new(bytes.Buffer)
	return w
}

func (w *watched) Write(b []byte) (int, error) {
	buf := <-w.locked
	n, err := buf.Write(b)
	w.locked <- buf
	select {
	case w.wrote <- struct{}{}:
	default:
	}
	return n, err
}

func (w *watched) String() string {
	buf := <-w.locked
	defer func() { w.locked <- buf }()
	return buf.String()
}

// await waits until text was written.
func (w *watched) await(text string, d time.Duration) error {
	late := time.After(d)
	for {
		if strings.Contains(w.String(), text) {
			return nil
		}
		select {
		case <-w.wrote:
		case <-late:
			return fmt.Errorf("%q was not written within %v; written was: %s", text, d, w.String())
		}
	}
}
