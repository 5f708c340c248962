package bridge

import (
	"errors"
	"fmt"
	"slices"

	"github.com/BurntSushi/toml"
)

// document is a parsed TOML file: the values as they stand there, and where
// each of them stands.
type document struct {
	path    string
	meta    toml.MetaData
	tables  map[string]toml.Primitive
	tree    map[string]any
	noLines bool // not a file that a person can open at a line
}

func parseDocument(path, text string) (*document, error) {
	d := &document{path: path}
	meta, err := toml.Decode(text, &d.tables)
	if err != nil {
		var pe toml.ParseError
		if errors.As(err, &pe) {
			return nil, fmt.Errorf("%s:%d: %s", path, pe.Position.Line, oneLine(pe.Message))
		}
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	d.meta = meta
	if _, err := toml.Decode(text, &d.tree); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return d, nil
}

// has reports whether the key stands in the file.
func (d *document) has(key ...string) bool { return d.meta.IsDefined(key...) }

// decode reads a whole top-level table into v, which points to a struct with
// the defaults, after every key and type in it was checked against v. Without
// the table v stays as it is.
func (d *document) decode(table string, v any) error {
	data, ok := d.tree[table]
	if !ok {
		return nil
	}
	if p := checkValue([]string{table}, data, typeOf(v)); len(p) > 0 {
		return d.first(p)
	}
	if err := d.meta.PrimitiveDecode(d.tables[table], v); err != nil {
		var pe toml.ParseError
		if errors.As(err, &pe) {
			return d.at(pe.Position.Line, fmt.Errorf("%s: %s", pe.LastKey, oneLine(pe.Message)))
		}
		return fmt.Errorf("%s: %w", d.path, err)
	}
	return nil
}

// checkTop refuses whatever stands at the top of the file and is not a table
// of a known name.
func (d *document) checkTop(known []string) error {
	var found []problem
	for _, name := range sortedKeys(d.tree) {
		data := d.tree[name]
		_, isTable := data.(map[string]any)
		_, isTables := data.([]map[string]any)
		switch {
		case slices.Contains(known, name) && isTable:
		case slices.Contains(known, name):
			found = append(found, problem{[]string{name}, fmt.Sprintf("%s is %s; it must be a table, which begins with the line [%s]", name, describe(data), name)})
		case isTable || isTables:
			found = append(found, problem{[]string{name}, fmt.Sprintf("unknown table [%s]; %s", name, suggest(name, known, "[", "]", "there are"))})
		default:
			found = append(found, problem{[]string{name}, fmt.Sprintf("unknown field %q outside of any table; put it below the line of its table, one of %s", name, joinList(known, "[", "]"))})
		}
	}
	if len(found) > 0 {
		return d.first(found)
	}
	return nil
}

// maxProblems is how many problems are compared for which stands first.
const maxProblems = 100

// problem is one thing that is wrong with the value under a key.
type problem struct {
	key  []string
	text string
}

// first is the problem that stands first in the file, as an error: they are
// mended one by one, from the top.
func (d *document) first(list []problem) error {
	if len(list) > maxProblems {
		list = list[:maxProblems] // finding a line takes time that grows with the file
	}
	best, at := list[0], d.line(list[0].key)
	for _, p := range list[1:] {
		if line := d.line(p.key); line < at {
			best, at = p, line
		}
	}
	return d.at(at, errors.New(best.text))
}

func (d *document) errorf(key []string, format string, args ...any) error {
	return d.at(d.line(key), fmt.Errorf(format, args...))
}

func (d *document) at(line int, err error) error {
	if d.noLines || line == 0 {
		return fmt.Errorf("%s: %w", d.path, err)
	}
	return fmt.Errorf("%s:%d: %w", d.path, line, err)
}

// line is where a key stands, or the nearest table around it; 0 when unknown.
// The library keeps positions to itself but puts them into errors of a type
// that refuses to be decoded: so one is decoded at the key.
func (d *document) line(key []string) int {
	at, level := 0, d.tables
	for i, part := range key {
		p, ok := level[part]
		if !ok {
			return at
		}
		var pe toml.ParseError
		if err := d.meta.PrimitiveDecode(p, &refusal{}); errors.As(err, &pe) && pe.Position.Line > 0 {
			at = pe.Position.Line
		}
		if i == len(key)-1 {
			break
		}
		level = nil
		if d.meta.PrimitiveDecode(p, &level) != nil || level == nil {
			var list []map[string]toml.Primitive // an array of tables: the last that has the key, as the library
			if d.meta.PrimitiveDecode(p, &list) != nil {
				return at
			}
			for _, table := range list {
				if _, ok := table[key[i+1]]; ok {
					level = table
				}
			}
		}
	}
	return at
}

// refusal is a value that no TOML can be.
type refusal struct{}

func (*refusal) UnmarshalTOML(any) error { return errors.New("refused") }
