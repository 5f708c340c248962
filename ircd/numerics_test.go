package ircd

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"

	"ircbridge/chat"
)

// chatErrors are the exported errors of package chat, by name, found in its
// source and known to the table below by value.
func chatErrors(t *testing.T) map[string]error {
	t.Helper()
	values := map[string]error{}
	for _, f := range failures {
		values[f.err.Error()] = f.err
	}
	file, err := parser.ParseFile(token.NewFileSet(), "../chat/errors.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]error{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !spec.Names[0].IsExported() {
			return true
		}
		text, _ := strconv.Unquote(spec.Values[0].(*ast.CallExpr).Args[0].(*ast.BasicLit).Value)
		found[spec.Names[0].Name] = values[text]
		return false
	})
	return found
}

func TestEveryErrorOfChatHasARow(t *testing.T) {
	found := chatErrors(t)
	if len(found) < 20 {
		t.Fatalf("only %d errors found in chat/errors.go", len(found))
	}
	for name, err := range found {
		if err == nil {
			t.Errorf("chat.%s has no row in failures", name)
		}
	}
	for _, f := range failures {
		if (f.num.code == "") != (f.params == nil) {
			t.Errorf("%v: a numeric needs its parameters", f.err)
		}
	}
	if !errors.Is(failures[0].err, chat.ErrClosed) {
		t.Error("ErrClosed must come first: it may wrap others")
	}
}

// numericCodes are the codes of numerics.go with the names of their variables.
// Each code stands there once.
func numericCodes(t *testing.T) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "numerics.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	codes := map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		lit, ok := spec.Values[0].(*ast.CompositeLit)
		if !ok || len(lit.Elts) == 0 {
			return true
		}
		elt := lit.Elts[0]
		if kv, ok := elt.(*ast.KeyValueExpr); ok {
			elt = kv.Value
		}
		if b, ok := elt.(*ast.BasicLit); ok {
			code := strings.Trim(b.Value, `"`)
			if codes[code] != "" {
				t.Errorf("%s stands twice", code)
			}
			codes[code] = spec.Names[0].Name
		}
		return true
	})
	if len(codes) < 60 {
		t.Fatalf("only %d numerics found", len(codes))
	}
	return codes
}
