package ircd

import (
	"context"
	"strings"

	"ircbridge/chat"
)

// serviceNick is the nick under which the node answers for itself. No user can
// have it.
const serviceNick = "*bridge"

// isService reports whether a nick is that of the node, if it answers.
func (s *Server) isService(nick string) bool {
	return s.ask != nil && chat.SameName(nick, serviceNick)
}

// serviceUser is the node as WHOIS shows it.
func (s *Server) serviceUser() chat.Whois {
	node := s.service.Node()
	return chat.Whois{
		Profile: chat.Profile{
			Nick: serviceNick, Username: "bridge", Host: s.name, Server: node.Host,
			Realname: "This node, which answers: /msg " + serviceNick + " help",
		},
		Node: node.ID, SignOn: node.Started,
	}
}

// askService answers a message to the node, with notices: programs must not
// answer those (RFC 2812, section 3.3.2), and neither does the node.
func (c *conn) askService(out chat.Outgoing) {
	c.settle() // its answers come after those to what was sent before
	out.Target = serviceNick
	var lines []string
	if !out.Notice && !out.TagsOnly {
		ctx, cancel := c.timeout()
		defer cancel()
		c.yield(func() { lines = c.srv.answer(ctx, strings.Join(out.Lines(), " ")) })
		if lines == nil {
			c.fail(chat.ErrNoSuchNick, subject{command: "PRIVMSG", nick: serviceNick})
			return
		}
	}
	if c.caps&capEchoMessage != 0 {
		c.writeMessage(&chat.Message{At: c.srv.now(), From: c.self, Target: out.Target, Notice: out.Notice, Text: out.Text, More: out.More, Tags: out.Tags, TagsOnly: out.TagsOnly})
	}
	from := c.srv.serviceUser().Profile
	for _, line := range lines {
		c.writeMessage(&chat.Message{At: c.srv.now(), From: from, Target: c.self.Nick, Notice: true, Text: line})
	}
}

// answer puts a user's question to the node. What is none, such as a CTCP
// request, or one that the node has no answer to, is answered with help.
func (s *Server) answer(ctx context.Context, text string) []string {
	question := strings.Join(strings.Fields(text), " ")
	if question == "" || question[0] == '\x01' {
		question = "help"
	}
	if lines := s.ask(ctx, question); lines != nil {
		return lines
	}
	return s.ask(ctx, "help")
}
