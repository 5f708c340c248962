package mapping

import (
	"fmt"

	"ircbridge/chat"
	"ircbridge/mapping/wire"
)

// What somebody says, to a channel or to a user, as it goes over the wire.

// Bounds of the tags of a message.
const (
	maxTags     = 32
	maxTagBytes = 4096
)

// checkMessage checks the words of a message.
func checkMessage(m *wire.Message) error {
	if m.GetLeastStatus() > uint32(chat.Operator) || m.GetHalfOperators() && m.GetLeastStatus() != uint32(chat.Operator) {
		return fmt.Errorf("%w: for a status of %d", errWire, m.GetLeastStatus())
	}
	if m.GetPerson() != nil {
		if _, err := personFromWire(m.Person); err != nil {
			return err
		}
	}
	return checkWords(m)
}

// checkLetter checks the words of a letter.
func checkLetter(l *wire.Letter) error { return checkWords(l) }

// words are what somebody says, to a channel or to a user.
type words interface {
	GetNotice() bool
	GetText() []byte
	GetTags() []*wire.Tag
	GetTagsOnly() bool
	GetMore() []*wire.TextLine
}

func checkWords(w words) error {
	switch {
	case len(w.GetText()) > chat.MaxText || !oneLine(string(w.GetText())):
		return fmt.Errorf("%w: text of %d bytes, or with a line end", errWire, len(w.GetText()))
	case w.GetTagsOnly() && (len(w.GetText()) > 0 || len(w.GetMore()) > 0 || w.GetNotice()):
		return fmt.Errorf("%w: a message of tags only has a text", errWire)
	case !chat.ValidLines(string(w.GetText()), linesFromWire(w.GetMore())):
		return fmt.Errorf("%w: %d lines, too long or blank", errWire, 1+len(w.GetMore()))
	}
	for _, l := range w.GetMore() {
		if !oneLine(string(l.GetText())) {
			return fmt.Errorf("%w: a line with a line end", errWire)
		}
	}
	return checkTags(w.GetTags())
}

func checkTags(tags []*wire.Tag) error {
	size := 0
	for _, t := range tags {
		size += len(t.GetName()) + len(t.GetValue())
		if len(t.GetName()) < 2 || t.GetName()[0] != '+' || !oneWord(string(t.GetName())) {
			return fmt.Errorf("%w: tag %q", errWire, chat.Cut(string(t.GetName()), 40))
		}
	}
	if len(tags) > maxTags || size > maxTagBytes {
		return fmt.Errorf("%w: %d tags of %d bytes", errWire, len(tags), size)
	}
	return nil
}

func linesToWire(lines []chat.Line) []*wire.TextLine {
	var out []*wire.TextLine
	for _, l := range lines {
		out = append(out, &wire.TextLine{Text: []byte(l.Text), Concat: l.Concat})
	}
	return out
}

func linesFromWire(ws []*wire.TextLine) []chat.Line {
	var lines []chat.Line
	for _, w := range ws {
		lines = append(lines, chat.Line{Text: string(w.GetText()), Concat: w.GetConcat()})
	}
	return lines
}

func tagsToWire(tags map[string]string) []*wire.Tag {
	var out []*wire.Tag
	for _, k := range sortedKeys(tags) {
		out = append(out, &wire.Tag{Name: []byte(k), Value: []byte(tags[k])})
	}
	return out
}

func tagsFromWire(ws []*wire.Tag) map[string]string {
	if len(ws) == 0 {
		return nil
	}
	tags := make(map[string]string, len(ws))
	for _, t := range ws {
		tags[string(t.GetName())] = string(t.GetValue())
	}
	return tags
}
