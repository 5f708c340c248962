package ircd

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"ircbridge/chat"
)

// capSet is a set of capabilities.
type capSet uint32

const (
	capAccountNotify capSet = 1 << iota
	capAccountTag
	capAwayNotify
	capBatch
	capCapNotify
	capChannelRename
	capChghost
	capEchoMessage
	capExtendedISupport
	capExtendedJoin
	capExtendedMonitor
	capInviteNotify
	capLabeledResponse
	capMessageTags
	capMessageRedaction
	capMultiline
	capMetadata2
	capMetadata3
	capMultiPrefix
	capNoImplicitNames
	capPreAway
	capServerTime
	capSetname
	capStandardReplies
	capUserhostInNames
)

// capabilities in the order in which they are listed.
var capabilities = []struct {
	name string
	bit  capSet
}{
	{"account-notify", capAccountNotify},
	{"account-tag", capAccountTag},
	{"away-notify", capAwayNotify},
	{"batch", capBatch},
	{"cap-notify", capCapNotify},
	{"chghost", capChghost},
	{"draft/channel-rename", capChannelRename},
	{"draft/extended-isupport", capExtendedISupport},
	{"draft/message-redaction", capMessageRedaction},
	{"draft/metadata-2", capMetadata2},
	{"draft/metadata-3", capMetadata3},
	{"draft/pre-away", capPreAway},
	{multilineType, capMultiline},
	{"echo-message", capEchoMessage},
	{"extended-join", capExtendedJoin},
	{"extended-monitor", capExtendedMonitor},
	{"invite-notify", capInviteNotify},
	{"labeled-response", capLabeledResponse},
	{"message-tags", capMessageTags},
	{"multi-prefix", capMultiPrefix},
	{"no-implicit-names", capNoImplicitNames},
	{"server-time", capServerTime},
	{"setname", capSetname},
	{"standard-replies", capStandardReplies},
	{"userhost-in-names", capUserhostInNames},
}

func capNames(set capSet) string {
	var names []string
	for _, k := range capabilities {
		if set&k.bit != 0 {
			names = append(names, k.name)
		}
	}
	return strings.Join(names, " ")
}

const allCaps = ^capSet(0)

// capValues are what CAP LS says of capabilities since its version 302.
var capValues = map[string]string{
	multilineType:      fmt.Sprintf("max-bytes=%d,max-lines=%d", chat.MaxText, chat.MaxLines),
	"draft/metadata-2": metadataLimits, "draft/metadata-3": metadataLimits,
}

// capsWithValues are the names of all capabilities, with the values of those that have
// one.
func capsWithValues() string {
	var words []string
	for _, k := range capabilities {
		word := k.name
		if value := capValues[word]; value != "" {
			word += "=" + value
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

// cmdCap is capability negotiation (IRCv3, "Capability Negotiation" 3.2). LS
// and REQ before registration suspend it until END.
func cmdCap(c *conn, m *message) error {
	switch sub := strings.ToUpper(m.params[0]); sub {
	case "LS":
		// Version 302 adds values, allows several lines, and means cap-notify; none
		// comes or goes here.
		c.capOpen = c.session == nil
		if version, err := strconv.Atoi(m.param(1)); err == nil && version >= 302 {
			c.cap302 = true
			c.caps |= capCapNotify
			c.capList("LS", capsWithValues())
			break
		}
		c.capList("LS", capNames(allCaps))
	case "LIST":
		c.capList("LIST", capNames(c.caps))
	case "REQ":
		c.capOpen = c.session == nil
		c.capRequest(m.param(1))
	case "END":
		if c.capOpen {
			c.capOpen = false
			return c.tryRegister()
		}
	default:
		c.reply(errInvalidCapCmd, m.params[0])
	}
	return nil
}

func (c *conn) capReply(sub, text string) {
	c.emit("", c.srv.name, "CAP", c.display(), []string{sub}, text, true)
}

// capList writes a list on as many lines as it takes; all but the last are marked, for
// version 302 ("Multiline replies to CAP LS and CAP LIST"). Older clients know one line: they
// are shown what fits, and may ask for the rest.
func (c *conn) capList(sub, list string) {
	lines := wrapWords(list, maxBody-len(":"+c.srv.name+" CAP "+c.display()+" "+sub+" * :"))
	if !c.cap302 {
		lines = lines[:1]
	}
	for _, line := range lines[:len(lines)-1] {
		c.emit("", c.srv.name, "CAP", c.display(), []string{sub, "*"}, line, true)
	}
	c.capReply(sub, lines[len(lines)-1])
}

// wrapWords breaks a list of words into lines of at most width bytes, each of at least one word;
// there is one line at least.
func wrapWords(list string, width int) (lines []string) {
	for len(list) > width {
		at := strings.LastIndexByte(list[:width+1], ' ')
		if at < 0 {
			if at = strings.IndexByte(list, ' '); at < 0 {
				break
			}
		}
		lines, list = append(lines, list[:at]), list[at+1:]
	}
	return append(lines, list)
}

// capRequest grants all of a request or nothing of it.
func (c *conn) capRequest(list string) {
	set := c.caps
	words := strings.Fields(list)
	for _, word := range words {
		name, off := strings.CutPrefix(word, "-")
		i := slices.IndexFunc(capabilities, func(k struct {
			name string
			bit  capSet
		}) bool {
			return k.name == name
		})
		switch {
		case i < 0:
			c.capReply("NAK", list)
			return
		case off && name == "cap-notify" && c.cap302: // "CAP LS version"
			c.capReply("NAK", list)
			return
		case off:
			set &^= capabilities[i].bit
		default:
			set |= capabilities[i].bit
		}
	}
	if both := capMetadata2 | capMetadata3; set&both == both { // one version of the draft at a time
		c.capReply("NAK", list)
		return
	}
	c.caps = set
	if set&(capMetadata2|capMetadata3) == 0 {
		c.subs = nil
	}
	room := maxBody - len(":"+c.srv.name+" CAP "+c.display()+" ACK :")
	for _, line := range wrapWords(strings.Join(lastOfEach(words), " "), room) { // "CAP ACK" may be several
		c.capReply("ACK", line)
	}
}

// lastOfEach leaves out words that come again later, so that the answer to a
// request fits a line however often it names a capability.
func lastOfEach(words []string) []string {
	var list []string
	for i, word := range words {
		if !slices.Contains(words[i+1:], word) {
			list = append(list, word)
		}
	}
	return list
}
