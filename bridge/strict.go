package bridge

import (
	"encoding"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
)

var (
	durationType  = reflect.TypeFor[time.Duration]()
	primitiveType = reflect.TypeFor[toml.Primitive]()
	tomlReader    = reflect.TypeFor[toml.Unmarshaler]()
	textReader    = reflect.TypeFor[encoding.TextUnmarshaler]()
)

func typeOf(v any) reflect.Type {
	t := reflect.TypeOf(v)
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

// checkValue compares a decoded TOML value with the Go type that is to take
// it, and says in words what does not fit. The TOML library would take keys in
// any case, skip unknown ones, and name Go types in its errors.
func checkValue(key []string, data any, t reflect.Type) []problem {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	pt := reflect.PointerTo(t)
	switch {
	case t == primitiveType, pt.Implements(tomlReader), t.Kind() == reflect.Interface:
		return nil
	case t == durationType:
		return checkDuration(key, data)
	case pt.Implements(textReader):
		return wrongUnless(isA[string](data), key, data, `a string in quotes`)
	}
	switch t.Kind() {
	case reflect.Struct:
		return checkStruct(key, data, t)
	case reflect.Map:
		table, ok := data.(map[string]any)
		if !ok {
			return wrong(key, data, "a table")
		}
		var found []problem
		for _, name := range sortedKeys(table) {
			found = append(found, checkValue(join(key, name), table[name], t.Elem())...)
		}
		return found
	case reflect.Slice, reflect.Array:
		return checkList(key, data, t.Elem())
	case reflect.String:
		return wrongUnless(isA[string](data), key, data, `a string in quotes`)
	case reflect.Bool:
		return wrongUnless(isA[bool](data), key, data, "true or false, without quotes")
	case reflect.Float32, reflect.Float64:
		return wrongUnless(isA[float64](data) || isA[int64](data), key, data, "a number")
	default:
		return checkInt(key, data, t)
	}
}

func checkStruct(key []string, data any, t reflect.Type) []problem {
	table, ok := data.(map[string]any)
	if !ok {
		if len(key) == 1 {
			return []problem{{key, fmt.Sprintf("%s is %s; it must be a table, which begins with the line [%s]", key[0], describe(data), key[0])}}
		}
		return wrong(key, data, "a table")
	}
	fields := fieldsOf(t)
	var found []problem
	for _, name := range sortedKeys(table) {
		v := table[name]
		ft, ok := fields[name]
		if !ok {
			found = append(found, problem{join(key, name), fmt.Sprintf("unknown field %q in [%s]; %s",
				name, strings.Join(key, "."), suggest(name, sortedKeys(fields), "", "", "it has"))})
			continue
		}
		found = append(found, checkValue(join(key, name), v, ft)...)
	}
	return found
}

// fieldsOf are the TOML names of a struct's fields, with their types.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	fields := map[string]reflect.Type{}
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("toml"), ",")
		if !f.IsExported() || name == "-" || f.Anonymous && name == "" {
			continue
		}
		if name == "" {
			name = strings.ToLower(f.Name)
		}
		fields[name] = f.Type
	}
	return fields
}

func checkList(key []string, data any, elem reflect.Type) []problem {
	var list []any
	switch l := data.(type) {
	case []any:
		list = l
	case []map[string]any:
		for _, t := range l {
			list = append(list, t)
		}
	default:
		if elem.Kind() == reflect.Struct {
			return wrong(key, data, fmt.Sprintf("a list of tables, each of which begins with the line [[%s]]", dotted(key)))
		}
		p := wrong(key, data, "a list in square brackets")
		if s, ok := data.(string); ok && elem.Kind() == reflect.String {
			p[0].text += fmt.Sprintf(", such as [%q]", s)
		}
		return p
	}
	var found []problem
	for i, v := range list {
		for _, p := range checkValue(key, v, elem) {
			if len(p.key) == len(key) { // the entry itself, not a field in it
				p.text = fmt.Sprintf("entry %d of %s", i+1, p.text)
			}
			found = append(found, p)
		}
	}
	return found
}

func checkDuration(key []string, data any) []problem {
	if text, ok := data.(string); ok {
		if _, err := time.ParseDuration(text); err == nil {
			return nil
		}
		return []problem{{key, fmt.Sprintf(`%s is %q; it must be a duration, such as "30s" or "1m30s"`, dotted(key), text)}}
	}
	return wrong(key, data, `a duration in quotes, such as "30s"`)
}

func checkInt(key []string, data any, t reflect.Type) []problem {
	n, ok := data.(int64)
	if !ok {
		return wrong(key, data, "a whole number, without quotes")
	}
	low, high := int64(math.MinInt64), int64(math.MaxInt64)
	switch bits := t.Bits(); t.Kind() {
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		low = 0
		if bits < 64 {
			high = 1<<bits - 1
		}
	default:
		if bits < 64 {
			low, high = -1<<(bits-1), 1<<(bits-1)-1
		}
	}
	if n < low || n > high {
		return []problem{{key, fmt.Sprintf("%s is %d; it must lie between %d and %d", dotted(key), n, low, high)}}
	}
	return nil
}

func wrongUnless(ok bool, key []string, data any, want string) []problem {
	if ok {
		return nil
	}
	return wrong(key, data, want)
}

func wrong(key []string, data any, want string) []problem {
	return []problem{{key, fmt.Sprintf("%s is %s; it must be %s", dotted(key), describe(data), want)}}
}

// describe names the type of a TOML value for a person. The value itself may
// be a password and is not shown.
func describe(data any) string {
	switch data.(type) {
	case string:
		return "a string"
	case int64:
		return "a whole number"
	case float64:
		return "a number with a fraction"
	case bool:
		return "true or false"
	case time.Time:
		return "a date or time"
	case []any:
		return "a list"
	case map[string]any:
		return "a table"
	case []map[string]any:
		return "a list of tables"
	}
	return "something else"
}

func isA[T any](data any) bool {
	_, ok := data.(T)
	return ok
}

func join(key []string, name string) []string { return append(slices.Clone(key), name) }

func dotted(key []string) string { return strings.Join(key, ".") }

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
