package chat

// MaxLines is how many lines one message may have.
const MaxLines = 100

// Line is one of the lines of a message of several, after the first.
type Line struct {
	Text string
	// Concat: it goes on where the line before it ended. Its sender broke the line
	// because it was too long for his protocol.
	Concat bool
}

// IsCTCP is IsCTCP of the line's text: who gets a message line by line takes each for a
// message.
func (l Line) IsCTCP() bool { return IsCTCP(l.Text) }

// ValidLines reports whether a message may have this text and these lines after it:
// no more than MaxLines, no more than MaxText bytes with one for each line end,
// not all blank, and none blank that goes on where another ended.
func ValidLines(text string, more []Line) bool {
	blank := text == ""
	for _, l := range more {
		if l.Text == "" && l.Concat {
			return false
		}
		blank = blank && l.Text == ""
	}
	return len(more) < MaxLines && linesBytes(text, more) <= MaxText && (len(more) == 0 || !blank)
}

// linesBytes is how long a text of several lines is, with a line end between two.
func linesBytes(text string, more []Line) int {
	size := len(text)
	for _, l := range more {
		if size += len(l.Text); !l.Concat {
			size++
		}
	}
	return size
}

// joined is the lines of a text as a reader sees them: those that were too long are
// in one piece again.
func joined(text string, more []Line) []string {
	lines := []string{text}
	for _, l := range more {
		if l.Concat {
			lines[len(lines)-1] += l.Text
		} else {
			lines = append(lines, l.Text)
		}
	}
	return lines
}

// Lines are the lines of a message as a reader sees them, one at least.
func (m Message) Lines() []string { return joined(m.Text, m.More) }

// Lines are the lines of a message as a reader sees them, one at least.
func (m Outgoing) Lines() []string { return joined(m.Text, m.More) }
