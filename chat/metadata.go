package chat

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Limits of the metadata of one user or channel.
const (
	MaxMetaKeys  = 20   // keys that are set
	MaxMetaKey   = 64   // bytes of a key
	MaxMetaValue = 300  // bytes of a value
	MaxMetaBytes = 1024 // keys and values together
)

// Metadata is what a user has set of himself, or operators of a channel: keys with
// values. Two that are equal have the same keys and values. It is a value: nobody changes
// it. The zero value has none.
type Metadata string // key, 0, value, 0, by key

// MetaItem is a key with its value, or, when the value is "", one that is not set.
type MetaItem struct {
	Key, Value string
}

// ValidMetaKey reports whether key is a key: a to z, 0 to 9 and _ . / -, of 1 to MaxMetaKey bytes.
func ValidMetaKey(key string) bool {
	for i := 0; i < len(key); i++ {
		switch c := key[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '_', c == '.', c == '/', c == '-':
		default:
			return false
		}
	}
	return key != "" && len(key) <= MaxMetaKey
}

// ValidMetaValue reports whether a key can have the value: UTF-8 of one line, at most MaxMetaValue
// bytes. "" takes the key away.
func ValidMetaValue(value string) bool {
	return len(value) <= MaxMetaValue && utf8.ValidString(value) && !strings.ContainsAny(value, "\x00\r\n")
}

// Items lists the keys that are set, in order.
func (m Metadata) Items() []MetaItem {
	var list []MetaItem
	for rest := string(m); rest != ""; {
		var x MetaItem
		x.Key, rest, _ = strings.Cut(rest, "\x00")
		x.Value, rest, _ = strings.Cut(rest, "\x00")
		list = append(list, x)
	}
	return list
}

// Get is the value of a key, "" when it is not set.
func (m Metadata) Get(key string) string {
	for _, x := range m.Items() {
		if x.Key == key {
			return x.Value
		}
	}
	return ""
}

// With is m after changes. They must be valid.
func (m Metadata) With(changes ...MetaItem) Metadata {
	list := m.Items()
	for _, c := range changes {
		list = slices.DeleteFunc(list, func(x MetaItem) bool { return x.Key == c.Key })
		if c.Value != "" {
			list = append(list, c)
		}
	}
	slices.SortFunc(list, func(a, b MetaItem) int { return strings.Compare(a.Key, b.Key) })
	var b strings.Builder
	for _, x := range list {
		b.WriteString(x.Key + "\x00" + x.Value + "\x00")
	}
	return Metadata(b.String())
}

// Changes are what makes next of m, by key.
func (m Metadata) Changes(next Metadata) []MetaItem {
	if m == next {
		return nil
	}
	var list []MetaItem
	for _, x := range m.Items() {
		if next.Get(x.Key) == "" {
			list = append(list, MetaItem{Key: x.Key})
		}
	}
	for _, x := range next.Items() {
		if m.Get(x.Key) != x.Value {
			list = append(list, x)
		}
	}
	slices.SortFunc(list, func(a, b MetaItem) int { return strings.Compare(a.Key, b.Key) })
	return list
}

// Fits reports whether m is within MaxMetaKeys and MaxMetaBytes.
func (m Metadata) Fits() bool {
	n := strings.Count(string(m), "\x00")
	return n <= 2*MaxMetaKeys && len(m)-n <= MaxMetaBytes
}

// CheckMetaItems reports whether all changes are valid.
func CheckMetaItems(changes []MetaItem) bool {
	for _, c := range changes {
		if !ValidMetaKey(c.Key) || !ValidMetaValue(c.Value) {
			return false
		}
	}
	return len(changes) <= 2*MaxMetaKeys
}
