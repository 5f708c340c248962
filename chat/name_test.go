package chat

import (
	"strings"
	"testing"
)

func TestNicks(t *testing.T) {
	for nick, want := range map[string]bool{
		"a": true, "Alice": true, "[x]^|": true, "a-9": true, "_": true, strings.Repeat("n", MaxNick): true,
		"": false, "9a": false, "-a": false, "a b": false, "a!b": false, "a@b": false, "#a": false, "ä": false,
		"a\x00": false, strings.Repeat("n", MaxNick+1): false,
	} {
		if ValidNick(nick) != want {
			t.Errorf("ValidNick(%q) is %v", nick, !want)
		}
	}
}

func TestChannels(t *testing.T) {
	for name, want := range map[string]bool{
		"#a": true, "#Überraum": true, "##": true, "#a:b": true, "#" + strings.Repeat("c", MaxChannel-1): true,
		"": false, "#": false, "a": false, "&a": false, "#a b": false, "#a,b": false, "#a\x07": false, "#a\u0085": false,
		"#\xff": false, "#" + strings.Repeat("c", MaxChannel): false,
	} {
		if ValidChannel(name) != want {
			t.Errorf("ValidChannel(%q) is %v", name, !want)
		}
	}
}

func TestFoldMapsASCIIOnly(t *testing.T) {
	for in, want := range map[string]string{"": "", "abc": "abc", "ABC[]": "abc[]", "ÄÖz": "ÄÖz", "xYzÄ": "xyzÄ"} {
		if got := Fold(in); got != want {
			t.Errorf("Fold(%q) = %q", in, got)
		}
		if !SameName(in, want) {
			t.Errorf("%q and %q are not the same name", in, want)
		}
	}
	if SameName("a", "b") || SameName("a", "aa") {
		t.Error("different names are the same")
	}
}

func TestMasks(t *testing.T) {
	for _, c := range []struct {
		mask, text string
		want       bool
	}{
		{"*", "", true}, {"", "", true}, {"", "a", false}, {"*!*@*", "a!b@c", true}, {"A!*@*", "a!b@c", true},
		{"?!b@c", "a!b@c", true}, {"?!b@c", "aa!b@c", false}, {"*a*b", "xaxxbxb", true}, {"*a*b", "xaxxbx", false},
		{"**", "abc", true}, {"a?", "a", false}, {"a*", "a", true},
		{strings.Repeat("*a", 200) + "b", strings.Repeat("a", 4000), false}, // in reasonable time
	} {
		if got := MatchMask(c.mask, c.text); got != c.want {
			t.Errorf("MatchMask(%.20q, %.20q) = %v", c.mask, c.text, got)
		}
	}
}

func TestCut(t *testing.T) {
	for _, c := range []struct {
		text string
		max  int
		want string
	}{
		{"", 0, ""}, {"abc", 3, "abc"}, {"abc", 2, "ab"}, {"abc", 0, ""}, {"aä", 2, "a"}, {"aä", 3, "aä"}, {"日本", 5, "日"},
		{"a😀", 4, "a"}, {"ab\x80\x80\x80\x80\x80", 6, "ab"}, {"a\x80\x80\x80\x80\x80\x80\x80", 6, "a\x80"}, // no UTF-8: somewhere near
	} {
		if got := Cut(c.text, c.max); got != c.want {
			t.Errorf("Cut(%q, %d) = %q, want %q", c.text, c.max, got, c.want)
		}
	}
}

func TestBeginning(t *testing.T) {
	long := strings.Repeat("ä", 31)
	for text, want := range map[string]string{
		"":                          "",
		"hello":                     "hello",
		long[:60]:                   long[:60],
		long:                        long[:60] + "…",
		"\x01ACTION waves\x01":      "ACTION waves",
		"\x02bold\x0f \x1b[31mred":  "bold [31mred",
		"a\xffb\uFFFD":              "ab\uFFFD",
		strings.Repeat("\x02", 500): "…",
	} {
		if got := Beginning(text); got != want {
			t.Errorf("%q begins %q, want %q", text, got, want)
		}
	}
}
