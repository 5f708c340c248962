package mapping

import (
	"ircbridge/chat"
	"ircbridge/mapping/wire"
)

// earlyStatuses are those of nodes that know no half operators. They drop that bit from
// what they keep, and do not take messages for a status that they do not know: so one for half
// operators goes as one for operators, and says besides that half operators see it too.
const earlyStatuses = chat.Voice | chat.Operator

func statusFromWire(bits uint32) chat.Status { return chat.Status(bits) & chat.EveryStatus }

// leastOf is the least status of those who are shown a message.
func leastOf(m *wire.Message) chat.Status {
	if m.GetHalfOperators() {
		return chat.HalfOperator
	}
	return chat.Status(m.GetLeastStatus())
}

// leastToWire are the fields of a message for those with a status.
func leastToWire(least chat.Status) (bits uint32, halfOperators bool) {
	if least == chat.HalfOperator {
		return uint32(chat.Operator), true
	}
	return uint32(least), false
}

// bitsFrom are the statuses that see what those with a least one do, as a redaction has
// them; of nodes that know no half operators the operators.
func bitsFrom(least chat.Status) uint32 {
	if least == chat.HalfOperator {
		least |= chat.Operator
	}
	return uint32(least)
}

// lowestOf is the lowest status of a redaction's.
func lowestOf(bits uint32) chat.Status {
	for i := len(chat.StatusModes) - 1; i >= 0; i-- {
		if bit := chat.StatusOf(chat.StatusModes[i]); statusFromWire(bits)&bit != 0 {
			return bit
		}
	}
	return 0
}
