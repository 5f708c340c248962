package bridge

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ircbridge/chat"
)

// knob is a front-end whose colour can change while it serves; its size needs
// a restart.
type knob struct {
	door
	table knobTable
}

type knobTable struct {
	Colour string `toml:"colour"`
	Size   int    `toml:"size"`
	On     bool   `toml:"on"`
}

func (k *knob) Reload(decode func(v any) error) (later []string, err error) {
	next := knobTable{Colour: "red", Size: 1, On: true}
	if err := decode(&next); err != nil {
		return nil, err
	}
	if next.Colour == "jam" { // what only a running one can find out
		return nil, errors.New("[knob] is jammed: oil it")
	}
	k.table.Colour = next.Colour
	if next.Size != k.table.Size {
		later = append(later, "size")
	}
	return later, nil
}

func TestReload(t *testing.T) {
	const start = "[node]\nlisten = [\"127.0.0.1:0\"]\ndiscovery = false\n"
	tests := []struct {
		name, text string
		colour     string // of the knob, then
		says       string
	}{
		{"the same", start, "red", "The configuration was read again."},
		{"what can change", start + "[knob]\ncolour = \"blue\"\n", "blue", "The configuration was read again."},
		{"and what cannot", start + "[knob]\ncolour = \"blue\"\nsize = 3\n", "blue", "The configuration was read again. What needs a restart: knob.size."},
		{"a front-end that cannot reload", start + "[door]\nwidth = 3\n", "red", "The configuration was read again. What needs a restart: [door]."},
		{"a front-end to be turned off", start + "[knob]\non = false\n", "red", "The configuration was read again. What needs a restart: [knob], to turn it off."},
		{"a front-end to be turned on", start + "[off]\non = true\n", "red", "The configuration was read again. What needs a restart: [off], to turn it on."},
		{"the node", "[overlay]\nname = \"x\"\ncopies = 2\n[node]\nlisten = [\"127.0.0.1:1\"]\njoin = [\"a:1\"]\ndata_dir = \"/x\"\n", "red",
			"The configuration was read again. What needs a restart: overlay.name, overlay.copies, node.data_dir, node.listen, node.join, node.discovery."},
		{"no TOML", start + "[knob\n", "red", "The configuration cannot be read again, and nothing has changed: "},
		{"an unknown table", start + "[knob]\ncolour = \"blue\"\n[nkob]\n", "red", `config.toml:6: unknown table [nkob]; did you mean [knob]?`},
		{"an unknown field", start + "[knob]\ncolor = \"blue\"\n", "red", `config.toml:5: unknown field "color" in [knob]; did you mean "colour"?`},
		{"one front-end right, the next one wrong", start + "[knob]\ncolour = \"blue\"\n[off]\non = 1\n", "red",
			`config.toml:7: off.on is a whole number; it must be true or false, without quotes`},
		{"wrong in the eyes of the front-end", start + "[knob]\nsize = -1\n", "red", "and nothing has changed: [knob] size = -1: no knob is that small"},
		{"refused by the running front-end", start + "[knob]\ncolour = \"jam\"\n", "red", "[knob] is jammed: oil it"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "config.toml")
			write := func(text string) {
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			dir := t.TempDir()
			load := func() (Config, error) { return Load(path, Overrides{DataDir: dir}) }
			if test.name == "the node" {
				load = func() (Config, error) { return Load(path, Overrides{}) }
			}
			write(start + "data_dir = '" + dir + "'\n")
			cfg, err := load()
			if err != nil {
				t.Fatal(err)
			}
			var running *knob
			n, out := runFrontends(t, cfg, map[string]chat.Factory{
				"door": func(s chat.Setup) (chat.Frontend, error) {
					var table struct {
						Width int `toml:"width"`
					}
					return newDoor(), s.Decode(&table)
				},
				"knob": func(s chat.Setup) (chat.Frontend, error) {
					k := &knob{door: *newDoor(), table: knobTable{Colour: "red", Size: 1, On: true}}
					if err := s.Decode(&k.table); err != nil || !k.table.On {
						return nil, err
					}
					if k.table.Size < 0 {
						return nil, errors.New("[knob] size = -1: no knob is that small")
					}
					if running == nil {
						running = k
					}
					return k, nil
				},
				"off": func(s chat.Setup) (chat.Frontend, error) {
					var table struct {
						On bool `toml:"on"`
					}
					if err := s.Decode(&table); err != nil || !table.On {
						return nil, err
					}
					return newDoor(), nil
				},
			})
			write(test.text)
			err = n.Reload(load)
			if wrong := !strings.Contains(test.says, "read again."); (err != nil) != wrong {
				t.Errorf("error: %v", err)
			}
			if got := out.String(); !strings.Contains(got, test.says) {
				t.Errorf("it said:\n%s\nwant: %s", got, test.says)
			}
			if running.table.Colour != test.colour {
				t.Errorf("the knob is %s, want %s", running.table.Colour, test.colour)
			}
		})
	}
}

// runFrontends runs a node with these front-ends until the test ends.
func runFrontends(t *testing.T, cfg Config, f map[string]chat.Factory) (*Node, *lines) {
	t.Helper()
	out := newLines()
	n, err := New(cfg, Env{Out: out, Err: newLines(), Version: "test", Frontends: f})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	<-n.Ready()
	return n, out
}

// A node that does not run has nothing to change.
func TestReloadWithoutARun(t *testing.T) {
	n, err := New(Config{}, Env{})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Reload(func() (Config, error) { return Config{}, errors.New("read") }); err != nil {
		t.Error(err)
	}
}

// Each front-end has a folder of its own in the data directory, under the name
// of its table.
func TestFolderOfAFrontend(t *testing.T) {
	var dir string
	n := startFrontend(t, func(s chat.Setup) { dir = s.DataDir })
	if want := filepath.Join(n.dir, "door"); dir != want {
		t.Errorf("got %s, want %s", dir, want)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it was made for nobody: %v", err)
	}
}
