package ircbridge_test

import (
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Protocol packages run on a real host and on a simulated one, where a seed
// replays them exactly. They can only because they leave tasks, waiting, time,
// randomness and I/O to the host. This test holds that, over the syntax trees
// and types of their files (tests and generated code apart).
var protocolPackages = []string{"chord", "overlay", "mapping"}

// only lists all that may be used of some packages.
var only = map[string][]string{
	"time": {
		"Duration", "Time", "Month", "Weekday",
		"Nanosecond", "Microsecond", "Millisecond", "Second", "Minute", "Hour",
		"Unix", "UnixMilli", "UnixMicro", "Date", "UTC", "ParseDuration", "Parse",
		"RFC3339", "RFC3339Nano", "DateOnly", "DateTime",
	},
	"context": {"Context", "Background", "TODO", "Canceled", "DeadlineExceeded", "Cause"},
	"sync":    {"Mutex", "RWMutex", "Locker"},
	"iter":    {"Seq", "Seq2"},
}

// never lists single names that draw randomness or start tasks.
var never = map[string][]string{
	"crypto/ed25519": {"GenerateKey"},
	"log/slog":       {"Default", "SetDefault", "Debug", "Info", "Warn", "Error", "Log", "LogAttrs", "With"},
}

// banned are packages, each with all below it, that reach past the host.
var banned = []string{
	"crypto/rand", "expvar", "hash/maphash", "io/ioutil", "log/syslog", "math/rand", "net", "os",
	"plugin", "runtime", "syscall", "testing", "unsafe", "golang.org/x/sync", "golang.org/x/time",
}

// anyOrder marks a range over a map whose order does not show, with the reason.
const anyOrder = "// any order: "

func TestProtocolRule(t *testing.T) {
	c := newChecker()
	for _, folder := range protocolPackages {
		files := map[string][]byte{}
		names, err := filepath.Glob(filepath.Join(folder, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			if files[name], err = os.ReadFile(name); err != nil {
				t.Fatal(err)
			}
		}
		if len(files) == 0 {
			t.Errorf("no file of %s was checked", folder)
		}
		bad, err := c.check(module+"/"+folder, files)
		if err != nil {
			t.Error(err)
		}
		for _, b := range bad {
			t.Error(b)
		}
	}
}

// A checker checks packages, and knows the types of what they import.
type checker struct {
	fset *token.FileSet
	std  types.Importer
	ours map[string]*types.Package
}

func newChecker() *checker {
	fset := token.NewFileSet()
	return &checker{fset: fset, std: importer.ForCompiler(fset, "source", nil), ours: make(map[string]*types.Package)}
}

// Import gives the types of the standard library and of this repository.
// Other modules are left out: no map of theirs is ranged over.
func (c *checker) Import(p string) (*types.Package, error) {
	folder, isOurs := strings.CutPrefix(p, module+"/")
	first, _, _ := strings.Cut(p, "/")
	switch {
	case !isOurs && !strings.Contains(first, "."):
		return c.std.Import(p)
	case !isOurs:
		return nil, errors.New("not looked at")
	case c.ours[p] != nil:
		return c.ours[p], nil
	}
	names, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		return nil, err
	}
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(c.fset, name, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	pkg, _ := c.resolve(p, files)
	c.ours[p] = pkg
	return pkg, nil
}

// resolve finds types as far as it can. Errors are the compiler's to report,
// and are sure to come where other modules are used.
func (c *checker) resolve(p string, files []*ast.File) (*types.Package, *types.Info) {
	info := &types.Info{Types: make(map[ast.Expr]types.TypeAndValue), Uses: make(map[*ast.Ident]types.Object)}
	conf := types.Config{Importer: c, Error: func(error) {}, IgnoreFuncBodies: false}
	pkg, _ := conf.Check(p, c.fset, files, info)
	return pkg, info
}

// check gives what the files of one package do against the rule.
func (c *checker) check(p string, sources map[string][]byte) (bad []string, err error) {
	var files []*ast.File
	names := make([]string, 0, len(sources))
	for name := range sources {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		f, err := parser.ParseFile(c.fset, name, sources[name], parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	_, info := c.resolve(p, files)
	for _, f := range files {
		v := &visitor{checker: c, info: info, marked: markedLines(c.fset, f)}
		v.imports(f)
		ast.Walk(v, f)
		bad = append(bad, v.bad...)
	}
	return bad, nil
}

// markedLines are the lines on which, or below which, a range may go in any
// order.
func markedLines(fset *token.FileSet, f *ast.File) map[int]bool {
	marked := make(map[int]bool)
	for _, g := range f.Comments {
		for _, c := range g.List {
			if reason, ok := strings.CutPrefix(c.Text, anyOrder); ok && len(strings.TrimSpace(reason)) > 3 {
				line := fset.Position(c.Pos()).Line
				marked[line] = true
				// A mark above may go on over several lines of comment.
				marked[fset.Position(g.End()).Line+1] = true
			}
		}
	}
	return marked
}

type visitor struct {
	*checker
	info   *types.Info
	marked map[int]bool
	sorted map[ast.Expr]bool // arguments whose result is sorted at once
	bad    []string
}

func (v *visitor) report(n ast.Node, format string, args ...any) {
	at := v.fset.Position(n.Pos())
	v.bad = append(v.bad, fmt.Sprintf("%s:%d: %s", at.Filename, at.Line, fmt.Sprintf(format, args...)))
}

func (v *visitor) imports(f *ast.File) {
	for _, spec := range f.Imports {
		p := importPath(spec)
		for _, b := range banned {
			if p == b || strings.HasPrefix(p, b+"/") {
				v.report(spec, "import of %s: the host is the only way out", p)
			}
		}
		if spec.Name != nil && spec.Name.Name == "." {
			v.report(spec, "import of all names of %s", p)
		}
	}
}

func (v *visitor) Visit(n ast.Node) ast.Visitor {
	switch n := n.(type) {
	case *ast.GoStmt:
		v.report(n, "go statement: use Host.Go")
	case *ast.SelectStmt:
		v.report(n, "select: use Event.Wait")
	case *ast.ChanType:
		v.report(n, "channel: use Host.NewEvent")
	case *ast.SendStmt:
		v.report(n, "send on a channel: use Event.Signal")
	case *ast.UnaryExpr:
		if n.Op == token.ARROW {
			v.report(n, "receive from a channel: use Event.Wait")
		}
	case *ast.SelectorExpr:
		v.selector(n)
	case *ast.CallExpr:
		v.call(n)
	case *ast.RangeStmt:
		v.rangeOver(n)
	}
	return v
}

// packageOf gives the package that an expression like time.Now names a thing of.
func (v *visitor) packageOf(e ast.Expr) (p, name string) {
	sel, ok := e.(*ast.SelectorExpr)
	if !ok {
		return "", ""
	}
	id, ok := sel.X.(*ast.Ident)
	if !ok {
		return "", ""
	}
	if pkg, ok := v.info.Uses[id].(*types.PkgName); ok {
		return pkg.Imported().Path(), sel.Sel.Name
	}
	return "", ""
}

func (v *visitor) selector(n *ast.SelectorExpr) {
	p, name := v.packageOf(n)
	if allowed, ok := only[p]; ok && !slices.Contains(allowed, name) {
		v.report(n, "%s.%s: the host does that", path.Base(p), name)
	}
	if slices.Contains(never[p], name) {
		v.report(n, "%s.%s: the host, or who makes this package's values, does that", path.Base(p), name)
	}
}

// call lets the iterators of package maps be used only where the result is
// sorted at once, or by a mark.
func (v *visitor) call(n *ast.CallExpr) {
	p, name := v.packageOf(unindexed(n.Fun))
	switch {
	case p == "slices" && strings.HasPrefix(name, "Sorted") && len(n.Args) > 0:
		if v.sorted == nil {
			v.sorted = make(map[ast.Expr]bool)
		}
		v.sorted[n.Args[0]] = true
	case p == "maps" && (name == "Keys" || name == "Values" || name == "All"):
		if !v.sorted[n] && !v.mayBeAnyOrder(n) {
			v.report(n, "maps.%s in the order of the map: sort it (slices.Sorted), or say %sREASON", name, anyOrder)
		}
	}
}

// unindexed takes the type arguments off a generic function's name.
func unindexed(e ast.Expr) ast.Expr {
	switch e := e.(type) {
	case *ast.IndexExpr:
		return e.X
	case *ast.IndexListExpr:
		return e.X
	}
	return e
}

func (v *visitor) mayBeAnyOrder(n ast.Node) bool { return v.marked[v.fset.Position(n.Pos()).Line] }

func (v *visitor) rangeOver(n *ast.RangeStmt) {
	t := v.info.Types[n.X].Type
	if t == nil || t == types.Typ[types.Invalid] {
		if !v.mayBeAnyOrder(n) {
			v.report(n, "range over something whose type this test cannot find: if the package compiles, give it a type of ours first, or say %sREASON", anyOrder)
		}
		return
	}
	switch coreType(t).(type) {
	case *types.Chan:
		v.report(n, "range over a channel")
	case *types.Map:
		if !v.mayBeAnyOrder(n) {
			v.report(n, "range over a map: sort the keys first (slices.Sorted(maps.Keys(m))), or say %sREASON where the order cannot show", anyOrder)
		}
	}
}

// coreType looks through names, and through type parameters to what all
// their types are underneath.
func coreType(t types.Type) types.Type {
	under := t.Underlying()
	if _, ok := t.(*types.TypeParam); !ok {
		return under
	}
	if i, ok := under.(*types.Interface); ok && i.NumEmbeddeds() > 0 {
		switch e := i.EmbeddedType(0).(type) {
		case *types.Union:
			return e.Term(0).Type().Underlying()
		default:
			return e.Underlying()
		}
	}
	return under
}

func TestProtocolRuleIsEnforced(t *testing.T) {
	const head = "package x\n"
	tests := []struct {
		name, src string
		bad       string // part of the only complaint; "" for none
	}{
		{"go", `func f() { go f() }`, "go statement"},
		{"channel", `var c chan int`, "channel"},
		{"send", `func f(c interface{ C() }) { x <- 1 }`, "send on a channel"},
		{"receive", `import "context"; func f(c context.Context) { <-c.Done() }`, "receive"},
		{"select", `func f() { select {} }`, "select"},
		{"range over channel", `import "context"; func f(c context.Context) { for range c.Done() {} }`, "range over a channel"},
		{"time.Now", `import "time"; func f() time.Time { return time.Now() }`, "time.Now"},
		{"time.Since", `import "time"; func f(t time.Time) time.Duration { return time.Since(t) }`, "time.Since"},
		{"time.AfterFunc", `import t "time"; func f() { t.AfterFunc(t.Second, f) }`, "time.AfterFunc"},
		{"time.Timer", `import "time"; var x *time.Timer`, "time.Timer"},
		{"durations", `import "time"; func f(t time.Time) bool { return t.Add(3 * time.Second).Sub(t) > time.Hour && t.After(t) }`, ""},
		{"variable named time", `type clock struct{}; func (clock) Now() int { return 1 }; func f(time clock) int { return time.Now() }`, ""},
		{"WithTimeout", `import "context"; var x = context.WithTimeout`, "context.WithTimeout"},
		{"AfterFunc", `import "context"; func f(c context.Context) { context.AfterFunc(c, nil) }`, "context.AfterFunc"},
		{"context", `import "context"; func f(c context.Context) error { return c.Err() }`, ""},
		{"sync.Cond", `import "sync"; var x sync.Cond`, "sync.Cond"},
		{"sync.WaitGroup", `import "sync"; type t struct{ sync.WaitGroup }`, "sync.WaitGroup"},
		{"sync.Mutex", `import "sync"; type t struct{ mu sync.Mutex }`, ""},
		{"math/rand", `import _ "math/rand"`, "import of math/rand"},
		{"math/rand/v2", `import _ "math/rand/v2"`, "import of math/rand/v2"},
		{"crypto/rand", `import _ "crypto/rand"`, "import of crypto/rand"},
		{"os", `import _ "os"`, "import of os"},
		{"net", `import _ "net/netip"`, "import of net/netip"},
		{"dot import", `import . "time"; var x Duration`, "all names"},
		{"GenerateKey", `import "crypto/ed25519"; func f() { ed25519.GenerateKey(nil) }`, "GenerateKey"},
		{"slog", `import "log/slog"; func f(l *slog.Logger) { l.Info("x", slog.Int("n", 1)) }`, ""},
		{"default slog", `import "log/slog"; func f() { slog.Info("x") }`, "slog.Info"},
		{"range over map", `func f(m map[int]int) { for range m {} }`, "range over a map"},
		{"range over named map", `type set map[int]bool; type t struct{ s set }; func f(x *t) { for k := range x.s { _ = k } }`, "range over a map"},
		{"range over generic map", `func f[M ~map[int]int](m M) { for range m {} }`, "range over a map"},
		{"range over map of another package", `import "text/template"; func f(m template.FuncMap) { for range m {} }`, "range over a map"},
		{"range over slice", `func f(s []int) { for range s {} }`, ""},
		{"range over int", `func f(n int) { for range n {} }`, ""},
		{"range over sorted keys", `import ("maps"; "slices"); func f(m map[int]int) { for range slices.Sorted(maps.Keys(m)) {} }`, ""},
		{"range over keys", `import "maps"; func f(m map[int]int) { for range maps.Keys(m) {} }`, "maps.Keys"},
		{"collected values", `import ("maps"; "slices"); func f(m map[int]int) []int { return slices.Collect(maps.Values(m)) }`, "maps.Values"},
		{"marked on the line", "func f(m map[int]int) (n int) {\n for _, v := range m { // any order: a sum\n n += v }\n return n }", ""},
		{"marked above", "func f(m map[int]int) (n int) {\n // any order: a sum,\n // which is long to explain\n for _, v := range m {\n n += v }\n return n }", ""},
		{"marked without reason", "func f(m map[int]int) {\n // any order: \n for range m {} }", "range over a map"},
		{"marked elsewhere", "func f(m map[int]int) {\n // any order: here\n\n for range m {} }", "range over a map"},
		{"unknown type", `import "example.org/m"; func f() { for range m.Thing() {} }`, "cannot find"},
	}
	c := newChecker()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bad, err := c.check("x", map[string][]byte{"x.go": []byte(head + tt.src + "\n")})
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case tt.bad == "" && len(bad) > 0:
				t.Errorf("complaints about what is allowed: %q", bad)
			case tt.bad != "" && (len(bad) != 1 || !strings.Contains(bad[0], tt.bad)):
				t.Errorf("got %q, want one complaint with %q", bad, tt.bad)
			}
		})
	}
}
