package script

import (
	"strings"
	"testing"
)

func TestParseErrors(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"bob > x", `t:1: no actor "bob"`},
		{"start", "t:1: start which node"},
		{"# fine\n\nstart n1 n1!", "t:3: "},
		{"start n1 join n2", `t:1: no node "n2"`},
		{"start end", "begins a statement"},
		{"start server", "give the node another name"},
		{"start n1 n2 with console c", "only one node"},
		{"start n1 with tea", "with console"},
		{"start n1\nn1 enters n1", "n1 is a node already"},
		{"start n1 with console a\nstart a", "a is an actor already"},
		{"start n1 alone", "alone is for"},
		{"a enters", "enters where"},
		{"a enters n7", `no node "n7"`},
		{"a enters server twice", `"twice" is too much`},
		{"a enters server with", "which capabilities"},
		{"a enters server over tls", "write `over TLS`"},
		{"a enters server over WebSocket pinned x", `"pinned" is too much`},
		{"a runs", "runs what"},
		{"start a\na runs x", "a is a node already"},
		{"start n2 join ${", "{ without }"},
		{"a connects server", "connects to"},
		{"a enters server\na dances", `"dances" is nothing`},
		{"a enters server\na <", "what line"},
		{"a enters server\na < **", "two wildcards"},
		{"a enters server\na < *{x} *{x}", "used once"},
		{"a enters server\na < ${x", "{ without }"},
		{"a enters server\na < ${9}", "names are letters"},
		{"a enters server\na > \\q", "is no escape"},
		{"a enters server\na > \\x1", "two hexadecimal"},
		{"a enters server\na > \\", "at the end of the line"},
		{"a enters server\na raw x", "is needed"},
		{"a enters server\na raw \"x", "without its second"},
		{"a enters server\na raw \"x\" times 0", "no number"},
		{"a enters server\na raw \"x\" times 3 4", `"4" is too much`},
		{"a enters server\na garbles 1e9", "no number"},
		{"a enters server\na asks PING", "until"},
		{"a enters server\na absent x", "t:2: absent needs a later"},
		{"a enters server\na bursts 5 to #c \"x\" every 1ms", "one %d"},
		{"a enters server\na bursts 5 to #c \"x %d\"", "every how long"},
		{"a enters server\na bursts 5 at #c \"x %d\" every 1s", "write `bursts"},
		{"timeout 5", "no duration"},
		{"timeout 0s", "no duration"},
		{"within 5h alice > x", "no duration"},
		{"within 1s", "begins no statement"},
		{"let = x", "no name"},
		{"let x y", "let NAME"},
		{"wait n1 logs x", "no node"},
		{"start n1\nwait n1", "wait for what"},
		{"start n1\nwait n1 logs", "logs what"},
		{"kill", "which node"},
		{"start a b\ncut a b", "which node"},
		{"start a b\ncut a from", "cut NODE"},
		{"start a b\ncut from a", "cut NODE"},
		{"start a b\ncut to a", "cut NODE"},
		{"start a b\ncut a to c", `no node "c"`},
		{"start a b\ncut a from c", `no node "c"`},
		{"mend a", "too much"},
		{"choose tea", "a channel or a nick"},
		{"start n1\nchoose channel t by n1", "kept by"},
		{"idle 5 server", "idle N to"},
		{"any order\nend", "an empty block"},
		{"a enters server\nany order\na < x", "the block of line 2 has no end"},
		{"a enters server\nany order\na > x\nend", "expects nothing"},
		{"a enters server\nany order\nwithin 1s a < x\nend", "before the block"},
		{"any thing", "any order"},
		{"a enters server\nat once\na < x\nend", "cannot be done at once"},
		{"a enters server\neither\na < x\nend", "needs an or"},
		{"a enters server\nduring bursts every 1s\nany order\na < x\nend\nend", "a block cannot stand"},
		{"during tea", "during bursts"},
		{"config n1\nx", "has no end"},
		{"end", "nothing to belong to"},
		{"everyone on #c is happy", "has each once"},
	} {
		_, err := Parse("t", strings.NewReader(c.text))
		switch {
		case err == nil:
			t.Errorf("%q: no error, want %q", c.text, c.want)
		case !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "t:"):
			t.Errorf("%q: %v, want %q", c.text, err, c.want)
		}
	}
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, line string
		kept          string
		ok            bool
	}{
		{"abc", "abc", "", true},
		{"abc", "abcd", "", false},
		{"*", "", "", true},
		{"a*", "ab", "", true},
		{"*b", "abb", "", true},
		{"a*b*c", "axxbyyc", "", true},
		{"a*b*c", "axxcyyb", "", false},
		{"*ab", "ab", "", true},
		{"ab*ba", "aba", "", false},
		{":*{x}!*", ":bob!u@h", "bob", true},
		{"*:*{x}", ":a b :c d", "a b :c d", true},
		{"* :*{x}", ":a b :c d", "c d", true},
		{":b", "@t=1 :b", "", true},
		{"@*{x} :b", "@t=1 :b", "t=1", true},
		{`\*\\`, `*\`, "", true},
		{`\xff*`, "\xffz", "", true},
	} {
		tmpl, err := parseTemplate(c.pattern, true)
		if err != nil {
			t.Fatal(c.pattern, err)
		}
		if kept, ok := tmpl.match(c.line); ok != c.ok || kept["x"] != c.kept {
			t.Errorf("%q on %q: %v %v, want %q %v", c.pattern, c.line, kept, ok, c.kept, c.ok)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(two)
	f.Add("start n1 n2 with console c\nstart n3 join n1\nwithin 3s c > names #c\nwait n1 logs *{x}")
	f.Add("a enters server as b with c d password e\na raw \"\\xff\" times 3\na absent *\na fence")
	f.Add("start n1 n2\ncut n1 from n2\nmend")
	f.Add("a enters server over TLS pinned ${x} as b\na runs status -data ${n1.data}\nstart n2 join /ip4/${n1.ip}")
	f.Add("config n1\n[irc]\nend\nstart n1\nchoose channel c kept by n1\neveryone on ${c} has each once in order")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse("fuzz", strings.NewReader(text))
		if err != nil {
			if !strings.HasPrefix(err.Error(), "fuzz:") {
				t.Errorf("an error without file and line: %v", err)
			}
			return
		}
		for _, st := range s.steps {
			if st.do == nil || st.line < 1 {
				t.Errorf("line %d: %q has no action", st.line, st.text)
			}
		}
	})
}

func FuzzMatch(f *testing.F) {
	f.Add("a*{x}b*", "axbc")
	f.Fuzz(func(t *testing.T, pattern, line string) {
		tmpl, err := parseTemplate(pattern, true)
		if err != nil {
			return
		}
		tmpl, err = tmpl.expand(func(string) (string, bool) { return "v", true })
		if err != nil {
			t.Fatal(err)
		}
		tmpl.match(line)
	})
}
