package chat

import (
	"fmt"
	"testing"
)

// TestStatusesAreOrderedByRank: no set with a higher status is below one without, whatever the
// bits; two are equal only if they are the same.
func TestStatusesAreOrderedByRank(t *testing.T) {
	const o, h, v = Operator, HalfOperator, Voice
	order := []Status{0, v, h, h | v, o, o | v, o | h, o | h | v}
	for i, a := range order {
		for j, b := range order {
			if got := a.Compare(b); (got < 0) != (i < j) || (got == 0) != (i == j) {
				t.Errorf("%q against %q is %d", a.Signs(), b.Signs(), got)
			}
		}
	}
	for least, want := range map[Status]string{0: "[ + % %+ @ @+ @% @%+]", v: "[+ % %+ @ @+ @% @%+]", h: "[% %+ @ @+ @% @%+]", o: "[@ @+ @% @%+]"} {
		var who []string
		for _, s := range order {
			if s.AtLeast(least) {
				who = append(who, s.Signs())
			}
		}
		if fmt.Sprint(who) != want {
			t.Errorf("at least %q are %v, want %s", least.Sign(), who, want)
		}
	}
}

func TestWhoRules(t *testing.T) {
	for _, row := range []struct {
		who, whom Status
		want      bool
	}{
		{Operator, Operator, true}, {Operator, HalfOperator, true}, {Operator | Voice, 0, true},
		{HalfOperator, Voice, true}, {HalfOperator, 0, true}, {HalfOperator | Voice, HalfOperator, false},
		{HalfOperator, Operator, false}, {HalfOperator, Operator | Voice, false}, {Voice, 0, false}, {0, 0, false},
	} {
		if got := row.who.Rules(row.whom); got != row.want {
			t.Errorf("%q rules over %q: %v", row.who.Signs(), row.whom.Signs(), got)
		}
	}
}

func TestStatusLetters(t *testing.T) {
	var all Status
	for i, letter := range []byte(StatusModes) {
		s := StatusOf(letter)
		if s.Sign() != StatusSigns[i:i+1] || all&s != 0 {
			t.Errorf("%c gives %q", letter, s.Sign())
		}
		all |= s
	}
	if all != EveryStatus || StatusOf('x')|StatusOf('O') != 0 {
		t.Errorf("the letters give %d", all)
	}
}

func TestCutSigns(t *testing.T) {
	for target, want := range map[string]struct {
		least Status
		name  string
	}{
		"#a": {0, "#a"}, "@#a": {Operator, "#a"}, "%#a": {HalfOperator, "#a"}, "+#a": {Voice, "#a"},
		"@%#a": {HalfOperator, "#a"}, "%@#a": {HalfOperator, "#a"}, "@+%#a": {Voice, "#a"}, "@@#a": {Operator, "#a"},
		"%": {0, "%"}, "%ann": {0, "%ann"}, "@": {0, "@"}, "": {0, ""},
	} {
		if least, name := CutSigns(target); least != want.least || name != want.name {
			t.Errorf("%q is for %q on %q", target, least.Sign(), name)
		}
	}
}
