package bridge

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"ircbridge/chat"
)

// Reload reads the configuration again by load, while the node runs. What can
// change is taken by the front-ends; what cannot is named to the person, who
// is also told what is wrong with a configuration that is refused: then nothing
// has changed, and the error is returned as well.
func (n *Node) Reload(load func() (Config, error)) error {
	_, err := n.reload(load)
	return err
}

// reload also returns what needs a restart.
func (n *Node) reload(load func() (Config, error)) (later []string, err error) {
	n.mu.Lock()
	p := n.parts
	n.mu.Unlock()
	if p == nil {
		return nil, nil
	}
	n.reloading.Lock()
	defer n.reloading.Unlock()
	next, err := load()
	if err == nil {
		later, err = n.take(p, next)
	}
	if err != nil {
		n.say("The configuration cannot be read again, and nothing has changed: %v", err)
		p.log.Warn("configuration not read again", "err", err)
		return nil, err
	}
	if len(later) > 0 {
		n.say("The configuration was read again. What needs a restart: %s.", strings.Join(later, ", "))
	} else {
		n.say("The configuration was read again.")
	}
	p.log.Info("configuration read again", "needs a restart", strings.Join(later, " "))
	return later, nil
}

// take hands the front-ends their tables, after all of them were tried.
func (n *Node) take(p *parts, next Config) (later []string, err error) {
	if err := next.checkTables(sortedKeys(n.env.Frontends)); err != nil {
		return nil, err
	}
	later = n.cfg.changed(next)
	wanted := map[string]bool{}
	for _, name := range sortedKeys(n.env.Frontends) {
		// Made of the new table and thrown away, a front-end says what is
		// wrong with it.
		f, err := n.env.Frontends[name](n.setup(p, name, &next, slog.New(slog.DiscardHandler), p.service))
		if err != nil {
			return nil, err
		}
		wanted[name] = f != nil
	}
	running := map[string]bool{}
	for _, f := range p.fronts {
		running[f.name] = true
		r, ok := f.Frontend.(chat.Reloader)
		switch {
		case !wanted[f.name]:
		case ok:
			keys, err := r.Reload(func(v any) error { return next.decodeTable(f.name, v) })
			if err != nil {
				return nil, err
			}
			for _, key := range keys {
				later = append(later, f.name+"."+key)
			}
		case !sameTable(n.cfg, next, f.name):
			later = append(later, "["+f.name+"]")
		}
	}
	for _, name := range sortedKeys(wanted) {
		if wanted[name] != running[name] {
			later = append(later, fmt.Sprintf("[%s], to turn it %s", name, map[bool]string{true: "on", false: "off"}[wanted[name]]))
		}
	}
	return later, nil
}

// setup is what the front-end of that name is made of.
func (n *Node) setup(p *parts, name string, cfg *Config, log *slog.Logger, service chat.Service) chat.Setup {
	var reload func() ([]string, error)
	if n.env.Load != nil {
		reload = func() ([]string, error) { return n.reload(n.env.Load) }
	}
	return chat.Setup{
		Reload:  reload,
		Service: service,
		Decode:  func(v any) error { return cfg.decodeTable(name, v) },
		Version: n.env.Version,
		DataDir: filepath.Join(p.dir.path, name),
		Ask:     func(ctx context.Context, question string) []string { return n.ask(ctx, p, question) },
		Log:     log,
	}
}

// changed names the keys of the node and its overlay that another
// configuration has otherwise. None of them can change while a node runs.
func (c *Config) changed(next Config) (keys []string) {
	note := func(key string, same bool) {
		if !same {
			keys = append(keys, key)
		}
	}
	note("overlay.name", c.Overlay.Name == next.Overlay.Name)
	note("overlay.copies", c.Overlay.Copies == next.Overlay.Copies)
	note("node.data_dir", c.Node.DataDir == next.Node.DataDir)
	note("node.listen", c.named == next.named && slices.Equal(c.Node.Listen, next.Node.Listen))
	note("node.join", slices.Equal(c.Node.Join, next.Node.Join))
	note("node.discovery", c.Node.Discovery == next.Node.Discovery)
	return keys
}

// sameTable reports whether two files have the same in a table.
func sameTable(a, b Config, name string) bool {
	of := func(c Config) any {
		if c.file == nil {
			return nil
		}
		return c.file.tree[name]
	}
	return reflect.DeepEqual(of(a), of(b))
}
