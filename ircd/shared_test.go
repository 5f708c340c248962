package ircd

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"ircbridge/chat"
)

// What differs in anything that shows has a line of its own, whatever its ID.
func TestSharedLinesTellMessagesApart(t *testing.T) {
	base := chat.Message{
		ID: "aaaaaaaaaaaaaaaa", At: benchTime, From: chat.Profile{Nick: "n", Username: "u", Host: "h", Account: "a"},
		Target: "#a", Text: "hello", Tags: map[string]string{"+a": "1"},
	}
	others := map[string]func(*chat.Message){
		"the same": func(*chat.Message) {},
		"id":       func(m *chat.Message) { m.ID = "baaaaaaaaaaaaaaa" },
		"time":     func(m *chat.Message) { m.At = m.At.Add(1_000_000) },
		"nick":     func(m *chat.Message) { m.From.Nick = "m" },
		"user":     func(m *chat.Message) { m.From.Username = "v" },
		"host":     func(m *chat.Message) { m.From.Host = "i" },
		"account":  func(m *chat.Message) { m.From.Account = "b" },
		"bot":      func(m *chat.Message) { m.From.Bot = true },
		"target":   func(m *chat.Message) { m.Target = "#A" },
		"least":    func(m *chat.Message) { m.Least = chat.Voice },
		"notice":   func(m *chat.Message) { m.Notice = true },
		"text":     func(m *chat.Message) { m.Text = "hallo" },
		"tags":     func(m *chat.Message) { m.Tags = map[string]string{"+a": "2"} },
	}
	sets := []capSet{0, capServerTime, capMessageTags, capServerTime | capMessageTags, capAccountTag, capEchoMessage}
	lines := new(sharedLines)
	for range 3 {
		for _, name := range slices.Sorted(maps.Keys(others)) {
			for _, caps := range sets {
				m := base
				others[name](&m)
				want := string(appendLine(nil, encodeTagsOf(caps, m.At, &m.From, m.ID, m.Tags), m.From.Mask(), commandOf(&m), []string{m.Address()}, m.Text, true))
				if got := string(lines.of(caps, &m)); got != want {
					t.Errorf("%s, capabilities %x: %q, not %q", name, caps, got, want)
				}
			}
		}
	}
}

// While a message goes to many, its line is made once.
func TestSharedLinesAreMadeOnce(t *testing.T) {
	lines := new(sharedLines)
	var all []chat.Message
	for i := range 40 {
		all = append(all, chat.Message{ID: fmt.Sprintf("%016d", i*7919), At: benchTime, Target: "#a", Text: "hello"})
	}
	write := func() {
		for i := range all {
			lines.of(capServerTime, &all[i])
		}
	}
	write()
	if n := testing.AllocsPerRun(100, write); n > 0 {
		t.Errorf("%v allocations for lines that are there", n)
	}
}
