package chat

import (
	"strings"
	"testing"
)

func TestFullMask(t *testing.T) {
	long := strings.Repeat("x", MaxMask)
	for _, row := range []struct {
		letter      byte
		given, want string // "": it is none
	}{
		{'b', "evil", "evil!*@*"}, {'b', "u@h", "*!u@h"}, {'b', "n!u", "n!u@*"}, {'e', "n!u@h", "n!u@h"}, {'I', "*.net", "*.net!*@*"},
		{'b', "*!*@2001:db8::1", "*!*@2001:db8::1"}, {'b', "n!u:v", "n!u:v@*"},
		{'b', "m:evil", "m:evil!*@*"}, {'b', "Mute:u@h", "m:*!u@h"}, {'e', "M:*", "m:*!*@*"}, {'I', "m:evil", ""}, {'I', "mute:evil", ""},
		{'b', "a:12D3", "a:12D3"}, {'I', "ACCOUNT:12D3*", "a:12D3*"}, {'b', "m:a:12D3", "m:a:12D3"}, {'e', "mute:account:x!y", "m:a:x!y"},
		{'b', "", ""}, {'b', "m:", ""}, {'b', "a:", ""}, {'b', "m:a:", ""}, {'b', "m:m:x", ""}, {'b', "a:m:x", "a:m:x"}, {'b', "z:x", ""}, {'b', "2001:db8::1", ""},
		{'b', ":x", ""}, {'b', "two words", ""}, {'b', "a,b", ""}, {'b', "x\n", ""}, {'b', "\xff", ""},
		{'b', long, ""}, {'b', "a:" + long, ""}, {'b', "a:" + long[2:], "a:" + long[2:]},
	} {
		got, ok := FullMask(row.letter, row.given)
		if ok != (row.want != "") || ok && got != row.want {
			t.Errorf("%c %q: %q, %v, want %q", row.letter, row.given, got, ok, row.want)
		}
		if again, still := FullMask(row.letter, got); ok && (!still || again != got) {
			t.Errorf("%c %q: completed again it is %q, %v", row.letter, got, again, still)
		}
	}
}

func TestMatchEntry(t *testing.T) {
	for _, row := range []struct {
		entry, account string
		ban, mute      bool
	}{
		{"bob!*@*", "K1", true, false}, {"BOB!*@H", "", true, false}, {"ann!*@*", "K1", false, false},
		{"m:b?b!*@*", "K1", false, true}, {"m:ann!*@*", "K1", false, false},
		{"a:K*", "K1", true, false}, {"a:*", "", false, false}, {"a:K2", "K1", false, false},
		{"m:a:k1", "K1", false, true}, {"m:a:*", "", false, false},
	} {
		if ban, mute := MatchEntry(row.entry, false, "bob!u@h", row.account), MatchEntry(row.entry, true, "bob!u@h", row.account); ban != row.ban || mute != row.mute {
			t.Errorf("%s of account %q: %v, %v", row.entry, row.account, ban, mute)
		}
	}
}

func FuzzFullMask(f *testing.F) {
	for _, given := range []string{"evil", "m:a:x", "mute:x@y", "a:b", "::", "!@"} {
		f.Add(byte('b'), given)
	}
	f.Fuzz(func(t *testing.T, letter byte, given string) {
		entry, ok := FullMask(letter, given)
		if !ok {
			return
		}
		if again, ok := FullMask(letter, entry); !ok && len(entry) < MaxMask || ok && again != entry {
			t.Errorf("%q became %q, and that %q", given, entry, again)
		}
		MatchEntry(entry, true, "n!u@h", "a")
	})
}
