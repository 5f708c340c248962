package ircbridge_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The page of failures promises tests by name. These hold that each of them
// exists, and that each of the numbered situations has a row.
const failuresPage = "docs/failures.md"

// situations is how many numbered situations the page has.
const situations = 50

func TestFailuresNameTestsThatExist(t *testing.T) {
	page, err := os.ReadFile(failuresPage)
	if err != nil {
		t.Fatal(err)
	}
	exist := testsOf(t)
	named := namedTests(string(page))
	if len(named) < situations {
		t.Errorf("%s names %d tests only", failuresPage, len(named))
	}
	for _, name := range named {
		test, session, _ := strings.Cut(name, "#")
		if !exist[test] {
			t.Errorf("%s names %s, which is in no test file: correct the name, or the row", failuresPage, test)
		}
		if session != "" && !haveSession(session) {
			t.Errorf("%s names the session %s of %s, of which there is no file in e2e/testdata", failuresPage, session, test)
		}
	}
}

func TestFailuresHaveARowForEachSituation(t *testing.T) {
	page, err := os.ReadFile(failuresPage)
	if err != nil {
		t.Fatal(err)
	}
	rows := situationRows(string(page))
	for n := 1; n <= situations; n++ {
		switch cells := rows[n]; {
		case len(cells) != 1:
			t.Errorf("%s has %d rows for situation %d, want 1", failuresPage, len(cells), n)
		case !strings.Contains(cells[0], "Test") && !strings.Contains(cells[0], "Fuzz") && !strings.Contains(cells[0], "*not yet*"):
			t.Errorf("situation %d names no test, and does not say *not yet*: %s", n, cells[0])
		}
	}
	if len(rows) != situations {
		t.Errorf("%d numbers have rows, want %d", len(rows), situations)
	}
}

var (
	testName     = regexp.MustCompile("`([a-z0-9/]+)\\.((?:Test|Fuzz|Benchmark)[A-Za-z0-9_]*)(?:/([a-z0-9-]+))?`")
	situationRow = regexp.MustCompile(`(?m)^\| ([0-9]+) \|.*\| ([^|]*) \|$`)
)

// namedTests are the tests that a page names, as folder.Test, with # and the
// session behind it where one is named. The root's are those of the package root.
func namedTests(page string) []string {
	var names []string
	for _, m := range testName.FindAllStringSubmatch(page, -1) {
		name := m[1] + "." + m[2]
		if m[3] != "" {
			name += "#" + m[3]
		}
		names = append(names, name)
	}
	return names
}

// situationRows gives the last cells of the rows of each number.
func situationRows(page string) map[int][]string {
	rows := make(map[int][]string)
	for _, m := range situationRow.FindAllStringSubmatch(page, -1) {
		var n int
		if _, err := fmt.Sscan(m[1], &n); err == nil {
			rows[n] = append(rows[n], m[2])
		}
	}
	return rows
}

// testsOf finds all tests of the repository, as folder.Test.
func testsOf(t *testing.T) map[string]bool {
	tests := make(map[string]bool)
	for _, f := range sourceFiles(t) {
		if !strings.HasSuffix(f, "_test.go") {
			continue
		}
		tree, err := parser.ParseFile(token.NewFileSet(), f, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		folder := path.Dir(filepath.ToSlash(f))
		if folder == "." {
			folder = "root"
		}
		for _, d := range tree.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil {
				tests[folder+"."+fn.Name.Name] = true
			}
		}
	}
	return tests
}

// haveSession reports whether there is a session of that name among those that
// are played with real processes.
func haveSession(name string) bool {
	for _, folder := range []string{"e2e/testdata", "e2e/testdata/namespaces"} {
		if _, err := os.Stat(filepath.Join(folder, name+".txt")); err == nil {
			return true
		}
	}
	return false
}

func TestFailuresPageIsRead(t *testing.T) {
	page := "| 7 | a | b | `overlay.TestX` `e2e.TestSessions/hang` |\n| 8 | a | b | *not yet* |\n| trap | b | `root.FuzzY` |\n"
	if got := strings.Join(namedTests(page), " "); got != "overlay.TestX e2e.TestSessions#hang root.FuzzY" {
		t.Errorf("named: %q", got)
	}
	rows := situationRows(page)
	if len(rows) != 2 || rows[7][0] != "`overlay.TestX` `e2e.TestSessions/hang`" || rows[8][0] != "*not yet*" {
		t.Errorf("rows: %v", rows)
	}
	if haveSession("no-such-session") || !haveSession("hang") {
		t.Error("sessions are not found, or invented")
	}
}
