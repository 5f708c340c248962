package bridge

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// Limits of the configuration.
const (
	maxConfigFile  = 256 << 10 // bytes
	maxAddresses   = 64        // of node.listen and of node.join, each
	maxOverlayName = 64        // bytes
	maxCopies      = 16        // as many as a node knows of those that follow it on the ring
)

// Config is the configuration of a node, from its file and its flags. The
// tables of the front-ends stay undecoded in it until each front-end asks for
// its own.
type Config struct {
	Overlay OverlayConfig
	Node    NodeConfig

	file      *document                 // nil without a file
	overrides map[string]map[string]any // of front-ends' tables, by flags
	named     bool                      // node.listen was named, by file or flag
}

// OverlayConfig is the table [overlay].
type OverlayConfig struct {
	// Name of the overlay. Nodes of overlays with other names are refused.
	// 1 to 64 letters, digits, dots, underscores and hyphens.
	Name string `toml:"name"`
	// Copies is how many nodes hold each object, its keeper included: 1 to 16.
	// It should be the same on all nodes of an overlay.
	Copies int `toml:"copies"`
}

// NodeConfig is the table [node].
type NodeConfig struct {
	// DataDir holds identity, database and log. "" is not valid: Load puts
	// DefaultDataDir there.
	DataDir string `toml:"data_dir"`
	// Listen are the addresses of the overlay, each IP:PORT or :PORT, QUIC on
	// UDP and TCP on the same port. Port 0 picks a free one.
	Listen []string `toml:"listen"`
	// Join are nodes to join through, each HOST:PORT or a multiaddress.
	Join []string `toml:"join"`
	// Discovery finds nodes of the same overlay on the local network, and lets
	// them find this one.
	Discovery bool `toml:"discovery"`
}

// Overrides is what flags say; it wins over the file. Zero fields say nothing.
type Overrides struct {
	Overlay string
	DataDir string
	Listen  []string
	Join    []string
	// Discovery is nil when no flag says anything of it.
	Discovery *bool
	// Tables are single keys of front-ends' tables, such as
	// {"irc": {"listen": []string{"127.0.0.1:6668"}}}.
	Tables map[string]map[string]any
}

// defaultOverlay is the name of the overlay of nodes that are told none.
const defaultOverlay = "default"

// defaultCopies is how many nodes hold each object, unless told otherwise.
const defaultCopies = 3

// DefaultListen is the overlay address of a node that is told nothing.
const DefaultListen = "0.0.0.0:4747"

// Load reads the configuration file at path, none if path is "", and lays the
// overrides on top. Every error is one line that names file and line, or the
// flag, and says what to do. Whether each table has a front-end is checked by
// New, which knows them.
func Load(path string, o Overrides) (Config, error) {
	cfg := Config{
		Overlay:   OverlayConfig{Name: defaultOverlay, Copies: defaultCopies},
		Node:      NodeConfig{Listen: []string{DefaultListen}, Discovery: true},
		overrides: o.Tables,
	}
	if path != "" {
		text, err := readConfig(path)
		if err != nil {
			return Config{}, err
		}
		if err := cfg.decodeFile(path, text); err != nil {
			return Config{}, err
		}
	}
	if err := cfg.override(o); err != nil {
		return Config{}, err
	}
	if cfg.Node.DataDir == "" {
		dir, err := DefaultDataDir()
		if err != nil {
			return Config{}, err
		}
		cfg.Node.DataDir = dir
	}
	return cfg, nil
}

func readConfig(path string) ([]byte, error) {
	f, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s: there is no such file; config.example.toml shows what may stand in it, and without -config a node needs none", path)
	case err != nil:
		return nil, fmt.Errorf("%s: cannot be read (%w); check who may read it", path, cause(err))
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxConfigFile+1))
	if err != nil {
		return nil, fmt.Errorf("%s: cannot be read (%w); a configuration is a text file in TOML", path, cause(err))
	}
	if len(text) > maxConfigFile {
		return nil, fmt.Errorf("%s: is longer than %d KiB; a configuration is a short text file in TOML", path, maxConfigFile>>10)
	}
	return text, nil
}

// cause is an error of package os without the name of the file, which stands
// at the front of the line already.
func cause(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// decodeFile takes the tables [overlay] and [node] from the file, checked.
func (c *Config) decodeFile(path string, text []byte) error {
	d, err := parseDocument(path, string(text))
	if err != nil {
		return err
	}
	c.file = d
	if err := d.decode("overlay", &c.Overlay); err != nil {
		return err
	}
	if err := d.decode("node", &c.Node); err != nil {
		return err
	}
	c.named = d.has("node", "listen")
	if d.has("node", "data_dir") && c.Node.DataDir == "" {
		return d.errorf([]string{"node", "data_dir"}, `node.data_dir is empty; name a directory, or leave the line away for the default`)
	}
	if err := checkOverlayName(c.Overlay.Name); err != nil {
		return d.errorf([]string{"overlay", "name"}, "overlay.name: %w", err)
	}
	if n := c.Overlay.Copies; n < 1 || n > maxCopies {
		return d.errorf([]string{"overlay", "copies"}, "overlay.copies is %d; it must lie between 1 and %d", n, maxCopies)
	}
	if err := checkListen(c.Node.Listen); err != nil {
		return d.errorf([]string{"node", "listen"}, "node.listen: %w", err)
	}
	if err := checkJoin(c.Node.Join); err != nil {
		return d.errorf([]string{"node", "join"}, "node.join: %w", err)
	}
	return nil
}

func (c *Config) override(o Overrides) error {
	if o.Overlay != "" {
		if err := checkOverlayName(o.Overlay); err != nil {
			return fmt.Errorf("-overlay: %w", err)
		}
		c.Overlay.Name = o.Overlay
	}
	if o.DataDir != "" {
		c.Node.DataDir = o.DataDir
	}
	if len(o.Listen) > 0 {
		if err := checkListen(o.Listen); err != nil {
			return fmt.Errorf("-listen: %w", err)
		}
		c.Node.Listen, c.named = o.Listen, true
	}
	if len(o.Join) > 0 {
		if err := checkJoin(o.Join); err != nil {
			return fmt.Errorf("-join: %w", err)
		}
		c.Node.Join = o.Join
	}
	if o.Discovery != nil {
		c.Node.Discovery = *o.Discovery
	}
	return nil
}

// checkTables refuses the tables of the file that are neither ours nor those
// of a front-end.
func (c *Config) checkTables(frontends []string) error {
	if c.file == nil {
		return nil
	}
	known := append([]string{"node", "overlay"}, frontends...)
	slices.Sort(known)
	return c.file.checkTop(known)
}

// decodeTable is chat.Setup.Decode for the front-end of that name.
func (c *Config) decodeTable(name string, v any) error {
	if c.file != nil {
		if err := c.file.decode(name, v); err != nil {
			return err
		}
	}
	set := c.overrides[name]
	if len(set) == 0 {
		return nil
	}
	// Flags take the same way as the file, so that both obey the same rules.
	text, err := toml.Marshal(map[string]any{name: set})
	if err != nil {
		return fmt.Errorf("command line: %w", err)
	}
	d, err := parseDocument("command line", string(text))
	if err != nil {
		return err
	}
	d.noLines = true
	return d.decode(name, v)
}

func checkOverlayName(name string) error {
	if name == "" || len(name) > maxOverlayName {
		return fmt.Errorf("%q is not a name of 1 to %d bytes", name, maxOverlayName)
	}
	for i := 0; i < len(name); i++ {
		c := name[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("._-", c) >= 0:
		default:
			return fmt.Errorf("%q may hold letters, digits, dots, underscores and hyphens only", name)
		}
	}
	return nil
}

// Decoder is what New gives the front-end of that name as chat.Setup.Decode,
// for tests of a configuration without a node.
func Decoder(cfg Config, name string) func(v any) error {
	return func(v any) error { return cfg.decodeTable(name, v) }
}
