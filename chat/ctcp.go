package chat

import "strings"

// IsCTCP reports whether a text is a CTCP message that programs ask and answer each
// other with; ACTION, which is for people, is none of these.
func IsCTCP(text string) bool {
	rest, ok := strings.CutPrefix(text, "\x01")
	if !ok {
		return false
	}
	command, _, _ := strings.Cut(strings.TrimRight(rest, "\x01"), " ")
	return !strings.EqualFold(command, "ACTION")
}
