package ringsim

import (
	"fmt"

	"ircbridge/chat"
)

// describe says in words what a user is shown.
func describe(e chat.Event) string {
	switch e := e.(type) {
	case chat.Message:
		return fmt.Sprintf("sees in %s <%s> %s", e.Target, e.From.Nick, e.Text)
	case chat.Sent:
		if e.Err != nil {
			return fmt.Sprintf("is refused %q: %v", e.Message.Text, e.Err)
		}
		return fmt.Sprintf("is acknowledged %q", e.Message.Text)
	case chat.Joined:
		return fmt.Sprintf("sees %s join %s", e.Who.Nick, e.Channel)
	case chat.Parted:
		return fmt.Sprintf("sees %s part %s", e.Who.Nick, e.Channel)
	case chat.Quit:
		return fmt.Sprintf("sees %s quit (%s)", e.Who.Nick, e.Reason)
	case chat.Kicked:
		return fmt.Sprintf("sees %s kicked from %s by %s", e.Who.Nick, e.Channel, e.By)
	case chat.Renamed:
		return fmt.Sprintf("sees %s become %s %s", e.Who.Nick, e.Nick, e.Why)
	case chat.ModeChanged:
		return fmt.Sprintf("sees modes of %s %v by %s", e.Channel, e.Changes, e.By)
	case chat.ChannelRenamed:
		return fmt.Sprintf("sees %s become %s by %s", e.Old, e.New, e.By)
	case chat.Effected:
		return "is shown that it was done"
	case chat.TopicChanged:
		return fmt.Sprintf("sees the topic of %s: %s", e.Channel, e.Topic.Text)
	case chat.ViewChanged:
		return fmt.Sprintf("sees %s anew: %d left, %d came, modes %v, topic %v", e.Channel, len(e.Left), len(e.Came), e.Modes, e.Topic)
	case chat.Notice:
		return "is told: " + e.Text
	}
	return fmt.Sprintf("%T %+v", e, e)
}
