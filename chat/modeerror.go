package chat

import "fmt"

// ModeError is why one change of a SetMode was not made.
type ModeError struct {
	Change ModeChange // as it was asked for
	Err    error      // one of the sentinels, perhaps wrapped
}

// Error implements error.
func (e *ModeError) Error() string {
	sign := '-'
	if e.Change.Add {
		sign = '+'
	}
	return fmt.Sprintf("mode %c%c %s: %v", sign, e.Change.Mode, Cut(e.Change.Arg, 40), e.Err)
}

// Unwrap makes errors.Is see the sentinel.
func (e *ModeError) Unwrap() error { return e.Err }

// ModeErrors lists the changes that an error of SetMode says were not made, in the
// order in which they were asked for. It is empty where the error is about all of them.
func ModeErrors(err error) []*ModeError {
	switch e := err.(type) {
	case *ModeError:
		return []*ModeError{e}
	case interface{ Unwrap() error }:
		return ModeErrors(e.Unwrap())
	case interface{ Unwrap() []error }:
		var list []*ModeError
		for _, one := range e.Unwrap() {
			list = append(list, ModeErrors(one)...)
		}
		return list
	}
	return nil
}
