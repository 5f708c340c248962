package chat

import (
	"errors"
	"fmt"
	"testing"
)

func TestModeErrors(t *testing.T) {
	a := &ModeError{ModeChange{Add: true, Mode: 'o', Arg: "x"}, fmt.Errorf("no: %w", ErrNoSuchNick)}
	b := &ModeError{ModeChange{Mode: 'l'}, ErrBadModeParam}
	err := fmt.Errorf("mode of #a: %w", errors.Join(a, b))
	if got := ModeErrors(err); len(got) != 2 || got[0] != a || got[1] != b {
		t.Errorf("%v", got)
	}
	if !errors.Is(err, ErrNoSuchNick) || !errors.Is(err, ErrBadModeParam) {
		t.Errorf("%v is neither", err)
	}
	if got := a.Error(); got != "mode +o x: no: no such nickname" {
		t.Errorf("%q", got)
	}
	for _, err := range []error{nil, ErrNoPrivileges, fmt.Errorf("x: %w", ErrUnreachable), errors.Join(ErrNoPrivileges)} {
		if got := ModeErrors(err); len(got) != 0 {
			t.Errorf("%v: %v", err, got)
		}
	}
}
