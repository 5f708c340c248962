package bridge

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// frontTable is a front-end's table for the tests, with each kind of value.
type frontTable struct {
	Listen []string      `toml:"listen"`
	Secret string        `toml:"password"`
	Rate   float64       `toml:"rate"`
	Burst  int           `toml:"burst"`
	Small  uint8         `toml:"small"`
	On     bool          `toml:"on"`
	Idle   time.Duration `toml:"idle"`
	Limits struct {
		Channels int `toml:"channels"`
	} `toml:"limits"`
	Rooms []struct {
		Name string `toml:"name"`
	} `toml:"rooms"`
}

// loadAll does with a configuration what a start does: load it, check its
// tables, and decode the table of the one front-end.
func loadAll(path string, o Overrides, v any) (Config, error) {
	cfg, err := Load(path, o)
	if err != nil {
		return cfg, err
	}
	if err := cfg.checkTables([]string{"front"}); err != nil {
		return cfg, err
	}
	return cfg, cfg.decodeTable("front", v)
}

// writeConfig puts text into a file and goes to its directory, so that
// messages name it as config.toml.
func writeConfig(t *testing.T, text string) string {
	t.Helper()
	t.Chdir(t.TempDir())
	if err := os.WriteFile("config.toml", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return "config.toml"
}

func TestWrongConfiguration(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"syntax", "[node]\nlisten = [\n", `config.toml:2: unexpected EOF; expected value`},
		{"twice", "[node]\ndiscovery = true\ndiscovery = false\n", `config.toml:3: Key 'node.discovery' has already been defined.`},
		{"not UTF-8", "[node]\ndata_dir = \"\xff\"\n", `config.toml:2: invalid UTF-8 byte: 0xff`},
		{"misspelt field", "[overlay]\nname = \"x\"\n\n[node]\nlisen = [\":4747\"]\n", `config.toml:5: unknown field "lisen" in [node]; did you mean "listen"?`},
		{"field in another case", "[node]\n\nListen = [\":4747\"]\n", `config.toml:3: unknown field "Listen" in [node]; did you mean "listen"?`},
		{"unknown field", "[node]\ncolour = 3\n", `config.toml:2: unknown field "colour" in [node]; it has data_dir, discovery, join, listen`},
		{"the first of two", "[node]\nlisten = 5\ncolour = 3\n", `config.toml:2: node.listen is a whole number; it must be a list in square brackets`},
		{"misspelt table", "[nod]\nlisten = []\n", `config.toml:1: unknown table [nod]; did you mean [node]?`},
		{"unknown table", "\n\n[accounts]\nlisten = []\n", `config.toml:3: unknown table [accounts]; there are [front], [node], [overlay]`},
		{"list of unknown tables", "[[oper]]\nname = \"x\"\n", `config.toml:1: unknown table [oper]; there are [front], [node], [overlay]`},
		{"field outside", "listen = [\":4747\"]\n", `config.toml:1: unknown field "listen" outside of any table; put it below the line of its table, one of [front], [node], [overlay]`},
		{"no table", "node = 5\n", `config.toml:1: node is a whole number; it must be a table, which begins with the line [node]`},
		{"list for a table", "[[front]]\non = true\n", `config.toml:1: front is a list of tables; it must be a table, which begins with the line [front]`},
		{"table for tables", "[front.rooms]\nname = \"a\"\n", `config.toml:1: front.rooms is a table; it must be a list of tables, each of which begins with the line [[front.rooms]]`},
		{"string for a list", "[node]\njoin = \"a:1\"\n", `config.toml:2: node.join is a string; it must be a list in square brackets, such as ["a:1"]`},
		{"number in a list", "[node]\njoin = [\"a:1\", 5]\n", `config.toml:2: entry 2 of node.join is a whole number; it must be a string in quotes`},
		{"string for a boolean", "[node]\ndiscovery = \"yes\"\n", `config.toml:2: node.discovery is a string; it must be true or false, without quotes`},
		{"number for a string", "[overlay]\nname = 5\n", `config.toml:2: overlay.name is a whole number; it must be a string in quotes`},
		{"empty name", "[overlay]\nname = \"\"\n", `config.toml:2: overlay.name: "" is not a name of 1 to 64 bytes`},
		{"name with a space", "[overlay]\nname = \"a b\"\n", `config.toml:2: overlay.name: "a b" may hold letters, digits, dots, underscores and hyphens only`},
		{"no copies", "[overlay]\ncopies = 0\n", `config.toml:2: overlay.copies is 0; it must lie between 1 and 16`},
		{"many copies", "[overlay]\n\ncopies = 17\n", `config.toml:3: overlay.copies is 17; it must lie between 1 and 16`},
		{"copies in words", "[overlay]\ncopies = \"three\"\n", `config.toml:2: overlay.copies is a string; it must be a whole number, without quotes`},
		{"empty directory", "[node]\ndata_dir = \"\"\n", `config.toml:2: node.data_dir is empty; name a directory, or leave the line away for the default`},
		{"nowhere to listen", "[node]\nlisten = []\n", `config.toml:2: node.listen: the list is empty; a node needs at least one address, such as "0.0.0.0:4747"`},
		{"listen without port", "[node]\nlisten = [\"0.0.0.0\"]\n", `config.toml:2: node.listen: "0.0.0.0" is no address with a port; write IP:PORT or :PORT, such as "0.0.0.0:4747"`},
		{"listen on a name", "[node]\nlisten = [\"example.org:1\"]\n", `config.toml:2: node.listen: "example.org:1" has no IP address of this machine in front of its port; write IP:PORT or :PORT, such as "0.0.0.0:4747"`},
		{"port too large", "[node]\nlisten = [\":70000\"]\n", `config.toml:2: node.listen: ":70000" has no port of 0 to 65535; write IP:PORT or :PORT, such as "0.0.0.0:4747"`},
		{"join without port", "[node]\njoin = [\"host\"]\n", `config.toml:2: node.join: "host" is not HOST:PORT; write it as your friend's node prints it, such as "192.0.2.7:4747"`},
		{"join port 0", "[node]\njoin = [\"host:0\"]\n", `config.toml:2: node.join: "host:0" has no port of 1 to 65535; the usual one is 4747`},
		{"join without host", "[node]\njoin = [\":4747\"]\n", `config.toml:2: node.join: ":4747" is not HOST:PORT; write it as your friend's node prints it, such as "192.0.2.7:4747"`},
		{"front-end: misspelt", "[front]\n\nlistne = []\n", `config.toml:3: unknown field "listne" in [front]; did you mean "listen"?`},
		{"front-end: nested", "[front.limits]\nchanels = 5\n", `config.toml:2: unknown field "chanels" in [front.limits]; did you mean "channels"?`},
		{"front-end: inline", "[front]\nlimits = { chanels = 5 }\n", `config.toml:2: unknown field "chanels" in [front.limits]; did you mean "channels"?`},
		{"front-end: list of tables", "[[front.rooms]]\nname = \"a\"\n\n[[front.rooms]]\nnam = \"b\"\n", `config.toml:5: unknown field "nam" in [front.rooms]; did you mean "name"?`},
		{"front-end: duration without unit", "[front]\nidle = 30\n", `config.toml:2: front.idle is a whole number; it must be a duration in quotes, such as "30s"`},
		{"front-end: no duration", "[front]\nidle = \"30\"\n", `config.toml:2: front.idle is "30"; it must be a duration, such as "30s" or "1m30s"`},
		{"front-end: too large", "[front]\nsmall = 256\n", `config.toml:2: front.small is 256; it must lie between 0 and 255`},
		{"front-end: negative", "[front]\nsmall = -1\n", `config.toml:2: front.small is -1; it must lie between 0 and 255`},
		{"front-end: fraction", "[front]\nburst = 1.5\n", `config.toml:2: front.burst is a number with a fraction; it must be a whole number, without quotes`},
		{"front-end: secret is not shown", "[front]\npassword = 4711\n", `config.toml:2: front.password is a whole number; it must be a string in quotes`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := loadAll(writeConfig(t, test.text), Overrides{}, &frontTable{})
			if err == nil {
				t.Fatalf("no error, want: %s", test.want)
			}
			if err.Error() != test.want {
				t.Errorf("\n got: %s\nwant: %s", err, test.want)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Error("more than one line")
			}
		})
	}
}

func TestWrongFlags(t *testing.T) {
	tests := []struct {
		name string
		o    Overrides
		want string
	}{
		{"listen", Overrides{Listen: []string{"x"}}, `-listen: "x" is no address with a port; write IP:PORT or :PORT, such as "0.0.0.0:4747"`},
		{"join", Overrides{Join: []string{"x"}}, `-join: "x" is not HOST:PORT; write it as your friend's node prints it, such as "192.0.2.7:4747"`},
		{"overlay", Overrides{Overlay: "a b"}, `-overlay: "a b" may hold letters, digits, dots, underscores and hyphens only`},
		{"front-end", Overrides{Tables: map[string]map[string]any{"front": {"idel": "5s"}}}, `command line: unknown field "idel" in [front]; did you mean "idle"?`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := loadAll("", test.o, &frontTable{}); err == nil || err.Error() != test.want {
				t.Errorf("\n got: %v\nwant: %s", err, test.want)
			}
		})
	}
}

func TestUnreadableConfiguration(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.Mkdir("dir.toml", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("long.toml", []byte(strings.Repeat("# long\n", maxConfigFile/7+1)), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"none.toml": "none.toml: there is no such file; config.example.toml shows what may stand in it, and without -config a node needs none",
		"dir.toml":  "dir.toml: cannot be read (is a directory); a configuration is a text file in TOML",
		"long.toml": "long.toml: is longer than 256 KiB; a configuration is a short text file in TOML",
	} {
		if _, err := Load(path, Overrides{}); err == nil || err.Error() != want {
			t.Errorf("\n got: %v\nwant: %s", err, want)
		}
	}
}

func TestFlagsOverrideTheFileAndTheFileTheDefaults(t *testing.T) {
	path := writeConfig(t, `
[overlay]
name = "team-7"
[node]
data_dir = "/file"
listen = ["127.0.0.1:5000"]
join = ["a:1", "/ip4/192.0.2.1/tcp/4747"]
discovery = true
[front]
listen = ["file"]
burst = 7
idle = "1m"
limits.channels = 3
[[front.rooms]]
name = "one"
`)
	front := frontTable{Listen: []string{"default"}, Rate: 2.5, Burst: 5}
	off := false
	cfg, err := loadAll(path, Overrides{
		Overlay:   "team-8",
		DataDir:   "/flag",
		Join:      []string{"b:2"},
		Discovery: &off,
		Tables:    map[string]map[string]any{"front": {"listen": []string{"flag", "two"}, "on": true}},
	}, &front)
	if err != nil {
		t.Fatal(err)
	}
	if want := (NodeConfig{DataDir: "/flag", Listen: []string{"127.0.0.1:5000"}, Join: []string{"b:2"}}); !reflect.DeepEqual(cfg.Node, want) {
		t.Errorf("node: got %+v, want %+v", cfg.Node, want)
	}
	if cfg.Overlay.Name != "team-8" || !cfg.named {
		t.Errorf("overlay %q, listen named: %v", cfg.Overlay.Name, cfg.named)
	}
	want := frontTable{Listen: []string{"flag", "two"}, Rate: 2.5, Burst: 7, On: true, Idle: time.Minute}
	want.Limits.Channels = 3
	want.Rooms = append(want.Rooms, struct {
		Name string `toml:"name"`
	}{"one"})
	if !reflect.DeepEqual(front, want) {
		t.Errorf("front-end: got %+v, want %+v", front, want)
	}
}

func TestDefaults(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", "/xdg")
	cfg, err := Load("", Overrides{})
	if err != nil {
		t.Fatal(err)
	}
	dir, err := DefaultDataDir()
	if err != nil {
		t.Fatal(err)
	}
	want := NodeConfig{DataDir: dir, Listen: []string{"0.0.0.0:4747"}, Discovery: true}
	if !reflect.DeepEqual(cfg.Node, want) || cfg.Overlay != (OverlayConfig{Name: "default", Copies: 3}) || cfg.named {
		t.Errorf("got %+v", cfg)
	}
}

func TestDefaultConfigPath(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", dir)
	t.Setenv("HOME", dir)
	t.Setenv("AppData", dir)
	if path, err := DefaultConfigPath(); path != "" || err != nil {
		t.Errorf("without a file: %q, %v", path, err)
	}
	user, err := os.UserConfigDir()
	if err != nil {
		t.Fatal(err)
	}
	want := filepath.Join(user, "ircbridge", "config.toml")
	if err := os.MkdirAll(filepath.Dir(want), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(want, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if path, err := DefaultConfigPath(); path != want || err != nil {
		t.Errorf("got %q, %v, want %q", path, err, want)
	}
}

func TestDataDirOfEachSystem(t *testing.T) {
	home := func() (string, error) { return "/home/u", nil }
	for _, test := range []struct {
		system string
		env    map[string]string
		want   string
	}{
		{"linux", nil, "/home/u/.local/share/ircbridge"},
		{"linux", map[string]string{"XDG_DATA_HOME": "/data"}, "/data/ircbridge"},
		{"linux", map[string]string{"XDG_DATA_HOME": "relative"}, "/home/u/.local/share/ircbridge"},
		{"darwin", map[string]string{"XDG_DATA_HOME": "/data"}, "/home/u/Library/Application Support/ircbridge"},
		{"windows", map[string]string{"LocalAppData": "/local"}, "/local/ircbridge"},
		{"windows", nil, "/home/u/AppData/Local/ircbridge"},
	} {
		got, err := dataDirFor(test.system, func(k string) string { return test.env[k] }, home)
		if err != nil || filepath.ToSlash(got) != test.want {
			t.Errorf("%s %v: got %q, %v, want %q", test.system, test.env, got, err, test.want)
		}
	}
}

// FuzzLoad: no text makes Load panic, and every error is one line.
func FuzzLoad(f *testing.F) {
	f.Add("[node]\nlisten = [\":1\"]\n")
	f.Add("[front]\nlimits = { channels = 1 }\n[[front.rooms]]\nname=\"a\"\n")
	f.Add("front.rooms = [{name = 1}]\n\"a.b\".\"\" = 5\n[overlay]\nname=''''''\n")
	f.Fuzz(func(t *testing.T, text string) {
		cfg := Config{Node: NodeConfig{Listen: []string{DefaultListen}}, Overlay: OverlayConfig{Name: "default", Copies: defaultCopies}}
		err := cfg.decodeFile("f", []byte(text))
		if err == nil {
			err = cfg.checkTables([]string{"front"})
		}
		if err == nil {
			err = cfg.decodeTable("front", &frontTable{})
		}
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("more than one line: %q", err)
		}
	})
}
