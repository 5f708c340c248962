package chat

import (
	"cmp"
	"strings"
)

// Status of a member in a channel, a set of bits. Their order is that of Compare, not
// that of the bits.
//
// A half operator may do what an operator may, but neither give nor take the statuses from his own
// upwards (except that he may give up his own), nor kick who has one of them, nor redact what
// others said, nor change the channel's name or metadata.
type Status uint8

// The statuses.
const (
	Voice        Status = 1 << iota // +v
	Operator                        // +o
	HalfOperator                    // +h: below an operator, above the voiced

	// EveryStatus has all that there are.
	EveryStatus = Voice | HalfOperator | Operator
)

// The letters of the modes that give a status, and its sign, as IRC shows it: the highest
// first.
const (
	StatusModes = "ohv"
	StatusSigns = "@%+"
)

var statuses = [len(StatusModes)]Status{Operator, HalfOperator, Voice}

// StatusOf is the status that the mode of a letter gives; 0: it gives none.
func StatusOf(letter byte) Status {
	if i := strings.IndexByte(StatusModes, letter); i >= 0 {
		return statuses[i]
	}
	return 0
}

// rank has the bits of a status in order, the highest status first.
func (s Status) rank() Status { return s&Voice | s&HalfOperator>>1 | s&Operator<<1 }

// Compare orders sets of statuses, by the highest of each, then by the next.
func (s Status) Compare(t Status) int { return cmp.Compare(s.rank(), t.rank()) }

// AtLeast reports whether the highest of the statuses is as high as another.
func (s Status) AtLeast(least Status) bool { return s.Compare(least) >= 0 }

// Rules reports whether a member with these statuses may kick one with those of
// another, and may give and take that status.
func (s Status) Rules(other Status) bool {
	return s&Operator != 0 || s&HalfOperator != 0 && !other.AtLeast(HalfOperator)
}

// Sign is that of the highest status, "" for none.
func (s Status) Sign() string {
	signs := s.Signs()
	return signs[:min(1, len(signs))]
}

// Signs are those of all statuses, the highest first.
func (s Status) Signs() string {
	signs := ""
	for i, bit := range statuses {
		if s&bit != 0 {
			signs += StatusSigns[i : i+1]
		}
	}
	return signs
}

// CutSigns takes the signs of statuses from the front of a channel's name:
// @#channel is for its operators, %#channel for half operators too, +#channel for the voiced as
// well. Of several signs the lowest status counts. Other targets are left alone.
func CutSigns(target string) (least Status, name string) {
	name = strings.TrimLeft(target, StatusSigns)
	if name == target || name == "" || name[0] != '#' {
		return 0, target
	}
	signs := target[:len(target)-len(name)]
	for i, bit := range statuses {
		if strings.IndexByte(signs, StatusSigns[i]) >= 0 {
			least = bit
		}
	}
	return least, name
}
