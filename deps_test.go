// Package ircbridge_test holds the rules of the whole repository: who may
// import whom, and what protocol code may not use. It parses the sources and
// builds nothing.
package ircbridge_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "ircbridge"

// A rule says what the packages of one folder may import of ours. Names are
// folders; a folder stands for itself, "x/..." for all below x too. Imports
// between the packages of one rule's tree are always allowed downwards (chord imports
// chord/wire) and, where the rule lists its own folder, upwards.
type rule struct {
	code []string // by all files
	test []string // by test files, besides
	std  bool     // nothing but the standard library, in all files but tests
}

// rules, by folder. A package follows the rule of the longest folder that it lies
// in; a folder with none is an error: to add one, say here what it may use.
var rules = map[string]rule{
	"chat":          {std: true},
	"chat/chattest": {code: []string{"chat"}, std: true},

	"ircd":    {code: []string{"chat"}, test: []string{"chat/chattest", "script", "storm"}},
	"console": {code: []string{"chat"}, test: []string{"chat/chattest", "script"}},

	"host":          {},
	"host/hosttest": {code: []string{"host"}, std: true},
	"host/p2p":      {code: []string{"host"}, test: []string{"host/hosttest"}},
	"host/sim":      {code: []string{"host"}, test: []string{"host/hosttest"}, std: true},

	"chord": {code: []string{"host"}, test: []string{"chord/ringcheck", "host/sim"}},
	// What must hold of rings, for tests and simulations; it knows no ring of ours.
	"chord/ringcheck": {std: true},
	"overlay":         {code: []string{"chord", "host"}, test: []string{"chat", "host/sim"}},
	"mapping":         {code: []string{"chat", "overlay", "host"}, test: []string{"chat/chattest", "chord", "host/sim"}},

	// What protobuf generates; it knows nobody.
	"chord/wire":    {},
	"overlay/wire":  {},
	"mapping/wire":  {},
	"host/p2p/wire": {},

	"bridge": {
		code: []string{"chat", "mapping", "overlay", "chord", "host", "host/p2p"},
		test: []string{"chat/chattest", "host/sim", "script"},
	},
	// It sees nodes from outside, as processes and IRC servers: what knew their insides could help them.
	"demo":    {code: []string{"history"}},
	"script":  {code: []string{"freeport"}},
	"load":    {std: true}, // measures any IRC server; what knew ours could favour it
	"history": {std: true}, // judges any chat, likewise
	"storm":   {std: true}, // and what clients of any IRC server are shown
	// The whole stack in simulation, for tests and developers.
	"ringsim": {code: []string{"chat", "chord", "chord/ringcheck", "history", "host", "host/sim", "mapping", "overlay"}, std: true},
	// IRC servers on simulated rings, for tests.
	"ircsim": {code: []string{"chat", "chord", "host", "host/sim", "ircd", "mapping", "overlay"}, test: []string{"storm"}},
	"cmd": {
		code: []string{"bridge", "chat", "ircd", "console", "demo", "script"},
		test: []string{"chat/chattest"},
	},
	"cmd/ringsim": {code: []string{"ringsim", "ringsim/figures"}, std: true},
	"freeport":    {std: true},
	"nodes":       {code: []string{"freeport"}, std: true}, // runs the program, and knows it from outside only
	"ordeal":      {code: []string{"history", "nodes"}, std: true},
	"cmd/ircload": {code: []string{"load", "nodes", "ordeal"}, std: true},
	// A tool for developers, no part of the product: it prints figures of simulated rings.
	"ringsim/figures": {code: []string{"chord", "host", "host/sim"}, std: true},
	"e2e": {
		code: []string{"nodes", "ordeal", "script"},
		test: []string{"bridge", "chat", "chat/chattest", "cmd/ircbridge", "console", "ircd", "storm"},
	},
	"docs": {test: []string{"chat", "chord", "host", "mapping", "overlay"}}, // examples and vectors
	".":    {},                                                              // this file and its neighbours
}

// testHelpers are imported by test files only, and by each other.
var testHelpers = []string{"chat/chattest", "chord/ringcheck", "host/hosttest", "host/sim", "ircsim"}

func TestDependencyRule(t *testing.T) {
	seen := make(map[string]bool)
	for _, f := range sourceFiles(t) {
		src, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		bad, err := checkImports(filepath.ToSlash(f), src)
		if err != nil {
			t.Error(err)
		}
		for _, b := range bad {
			t.Error(b)
		}
		seen[strings.SplitN(filepath.ToSlash(f), "/", 2)[0]] = true
	}
	for _, must := range []string{"chat", "chord", "host", "ircd", "mapping", "overlay"} {
		if !seen[must] {
			t.Errorf("no file of %s was checked", must)
		}
	}
}

// sourceFiles lists the Go files of the repository, below the working directory.
func sourceFiles(t *testing.T) []string {
	var files []string
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		name := ""
		if d != nil {
			name = d.Name()
		}
		switch {
		case err != nil:
			return err
		case d.IsDir() && p != "." && (strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "testdata"):
			return filepath.SkipDir
		case !d.IsDir() && strings.HasSuffix(name, ".go"):
			files = append(files, p)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// checkImports checks one file, named by its path in the repository.
func checkImports(file string, src []byte) (bad []string, err error) {
	tree, err := parser.ParseFile(token.NewFileSet(), file, src, parser.ImportsOnly)
	if err != nil {
		return nil, err
	}
	folder := path.Dir(file)
	at, r, ok := ruleOf(folder)
	if !ok {
		return []string{fmt.Sprintf("%s: the folder has no rule in deps_test.go", file)}, nil
	}
	test := strings.HasSuffix(file, "_test.go")
	for _, spec := range tree.Imports {
		if why := forbidden(folder, at, r, test, importPath(spec)); why != "" {
			bad = append(bad, fmt.Sprintf("%s imports %s: %s", file, importPath(spec), why))
		}
	}
	return bad, nil
}

func importPath(spec *ast.ImportSpec) string {
	p, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		return spec.Path.Value
	}
	return p
}

// ruleOf finds the rule of a folder and the folder that it is written for.
func ruleOf(folder string) (at string, r rule, ok bool) {
	for at = folder; ; at = path.Dir(at) {
		if r, ok = rules[at]; ok && (at != "." || folder == ".") {
			return at, r, true
		}
		if at == "." {
			return "", rule{}, false
		}
	}
}

// forbidden says why a file of a folder may not import what it does, or "".
func forbidden(folder, at string, r rule, test bool, imported string) string {
	ours, isOurs := strings.CutPrefix(imported, module+"/")
	if !isOurs {
		first, _, _ := strings.Cut(imported, "/")
		if r.std && !test && strings.Contains(first, ".") {
			return at + " uses the standard library only"
		}
		return ""
	}
	switch {
	case ours == folder: // the external tests of a package
		return ""
	case strings.HasPrefix(ours, folder+"/") && !slices.Contains(testHelpers, ours):
		return "" // its own sub-package
	case test && (slices.Contains(r.test, ours) || strings.HasPrefix(ours, folder+"/")):
		return ""
	case !slices.Contains(r.code, ours):
		return fmt.Sprintf("%s may import only %v", at, r.code)
	}
	return ""
}

func TestDependencyRuleIsEnforced(t *testing.T) {
	tests := []struct {
		file, imports string
		ok            bool
	}{
		{"chat/x.go", "context", true},
		{"chat/x.go", "golang.org/x/net/idna", false},
		{"chat/x.go", "ircbridge/host", false},
		{"chat/x.go", "ircbridge/chat/chattest", false},
		{"chat/x_test.go", "ircbridge/chat", true},
		{"chat/x_test.go", "ircbridge/chat/chattest", true},
		{"chat/chattest/x.go", "ircbridge/chat", true},
		{"host/x.go", "github.com/mr-tron/base58", true},
		{"host/x.go", "ircbridge/chat", false},
		{"host/x.go", "ircbridge/host/sim", false},
		{"host/sim/x.go", "ircbridge/host", true},
		{"host/sim/x.go", "ircbridge/host/hosttest", false},
		{"host/sim/x_test.go", "ircbridge/host/hosttest", true},
		{"host/p2p/x.go", "ircbridge/host/p2p/wire", true},
		{"host/p2p/x.go", "ircbridge/chord", false},
		{"chord/x.go", "ircbridge/host", true},
		{"chord/x.go", "ircbridge/chord/wire", true},
		{"chord/x.go", "ircbridge/overlay", false},
		{"chord/x.go", "ircbridge/host/sim", false},
		{"chord/x_test.go", "ircbridge/host/sim", true},
		{"chord/x_test.go", "ircbridge/host/p2p", false},
		{"overlay/x.go", "ircbridge/chord", true},
		{"overlay/x.go", "ircbridge/chat", false},
		{"overlay/x.go", "ircbridge/chord/wire", false},
		{"mapping/x.go", "ircbridge/overlay", true},
		{"mapping/x.go", "ircbridge/chord", false},
		{"mapping/x.go", "ircbridge/host/p2p", false},
		{"mapping/x_test.go", "ircbridge/chat/chattest", true},
		{"ircd/x.go", "ircbridge/chat", true},
		{"ircd/x.go", "gopkg.in/irc.v4", true},
		{"ircd/x.go", "ircbridge/mapping", false},
		{"ircd/x.go", "ircbridge/console", false},
		{"ircd/x_test.go", "ircbridge/mapping", false},
		{"ircd/line/x.go", "ircbridge/host", false},
		{"bridge/x.go", "ircbridge/host/p2p", true},
		{"bridge/x.go", "ircbridge/ircd", false},
		{"cmd/ircbridge/x.go", "ircbridge/ircd", true},
		{"cmd/ircbridge/x.go", "ircbridge/overlay", false},
		{"cmd/ircbridge/x.go", "ircbridge/host/p2p", false},
		{"demo/x.go", "ircbridge/history", true},
		{"demo/x.go", "gopkg.in/irc.v4", true},
		{"demo/x.go", "ircbridge/bridge", false},
		{"demo/x.go", "ircbridge/host/p2p", false},
		{"script/x.go", "ircbridge/bridge", false},
		{"cmd/ircload/x.go", "ircbridge/load", true},
		{"cmd/ircload/x.go", "ircbridge/bridge", false},
		{"ringsim/figures/x.go", "ircbridge/host/sim", true},
		{"ringsim/figures/x.go", "ircbridge/overlay", false},
		{"cmd/ircbridge/x.go", "ircbridge/host/sim", false},
		{"load/x.go", "ircbridge/chat", false},
		{"history/x.go", "ircbridge/chat", false},
		{"load/x_test.go", "ircbridge/script", false},
		{"unheard/x.go", "fmt", false},
	}
	for _, tt := range tests {
		bad, err := checkImports(tt.file, fmt.Appendf(nil, "package x\nimport _ %q\n", tt.imports))
		if err != nil {
			t.Fatal(err)
		}
		if ok := len(bad) == 0; ok != tt.ok {
			t.Errorf("%s imports %s: allowed %v, want %v (%v)", tt.file, tt.imports, ok, tt.ok, bad)
		}
	}
}
