package ordeal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"
)

// visit is one connection of a user, as the goroutine sees it that reads it.
type visit struct {
	u       *user
	conn    net.Conn
	why     error                      // what the server said when it ended the connection
	present map[string]map[string]bool // who is in a channel, by what was shown; nil until NAMES was complete
	listing map[string]map[string]bool // of a NAMES that is not complete
	batches map[string]string          // labels, by the reference of their batch
}

// say sends lines.
func (v *visit) say(lines ...string) error {
	_, err := io.WriteString(v.conn, strings.Join(lines, "\r\n")+"\r\n")
	return err
}

// take acts on one line.
func (v *visit) take(ctx context.Context, l line, at time.Duration) error {
	u := v.u
	switch l.command {
	case "PING":
		return v.say("PONG :" + l.param(0))
	case "ERROR":
		v.why = errors.New(l.param(0))
	case "376", "422": // welcome, to the end
		return v.say("JOIN " + strings.Join(u.r.channels, ","))
	case "433", "437": // his nick is not free yet
		pause(ctx, again)
		return v.say("NICK " + u.nick)
	case "PRIVMSG":
		v.message(l, at)
		return nil
	case "JOIN", "PART", "KICK", "QUIT", "353", "366":
		v.membership(l, at)
	case "BATCH":
		if label := l.tag("label"); label != "" {
			v.batches[strings.TrimPrefix(l.param(0), "+")] = label
		}
		return nil
	}
	if l.command == "PART" || l.command == "KICK" {
		if !u.isIn(l.param(0)) { // he does not let himself be sent away
			return v.say("JOIN " + l.param(0))
		}
	}
	v.refusal(l, at)
	return v.refusedJoin(ctx, l)
}

func (u *user) isIn(channel string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.in[channel]
}

// message is one by somebody, or the echo of his own, which has its label. What he said over
// an earlier connection is news, too: it may come with what others said then.
func (v *visit) message(l line, at time.Duration) {
	u := v.u
	if l.nick() != u.nick || v.label(l) == "" {
		u.r.history.Saw(at, u.client, l.param(0), l.param(1))
		return
	}
	u.r.history.Acked(at, u.client, l.param(1))
	u.answered(at, v.label(l), true)
}

// label is that of the command that a line answers, itself or by its batch.
func (v *visit) label(l line) string {
	if label := l.tag("label"); label != "" {
		return label
	}
	return v.batches[l.tag("batch")]
}

// refusal is anything else than an echo that answers a message.
func (v *visit) refusal(l line, at time.Duration) {
	if label := v.label(l); label != "" && l.command != "ACK" {
		v.u.answered(at, label, false)
	}
}

// refusedJoin tries again to join what he could not. These numerics are also
// said of messages, and then have labels.
func (v *visit) refusedJoin(ctx context.Context, l line) error {
	switch l.command {
	case "403", "405", "407", "471", "473", "474", "475", "FAIL":
	default:
		return nil
	}
	if v.label(l) != "" {
		return nil
	}
	v.u.r.logf("%s: %s %s", v.u.nick, l.command, strings.Join(l.params, " "))
	pause(ctx, again)
	for _, channel := range v.u.r.channels {
		if !v.u.isIn(channel) && slices.Contains(l.params, channel) {
			return v.say("JOIN " + channel)
		}
	}
	return nil
}

// membership keeps the list of who is where, and checks that nobody comes twice or goes
// without having come.
func (v *visit) membership(l line, at time.Duration) {
	u, who := v.u, l.nick()
	wrong := func(text string) { u.r.wrong(fmt.Sprintf("%s at %v: %s", u.client, at, text)) }
	switch l.command {
	case "353":
		channel := l.param(2)
		if v.listing == nil {
			v.listing = map[string]map[string]bool{}
		}
		if v.listing[channel] == nil {
			v.listing[channel] = map[string]bool{}
		}
		for nick := range strings.FieldsSeq(l.param(3)) {
			v.listing[channel][strings.TrimLeft(nick, "~&@%+")] = true
		}
	case "366":
		channel := l.param(1)
		v.present[channel] = v.listing[channel]
		delete(v.listing, channel)
		var nicks []string
		for nick := range v.present[channel] {
			nicks = append(nicks, nick)
		}
		u.r.named(u, channel, nicks)
	case "JOIN":
		channel := l.param(0)
		if who == u.nick {
			u.joined(at, channel)
		} else if p := v.present[channel]; p != nil {
			if p[who] {
				wrong(fmt.Sprintf("%s comes to %s, and was there", who, channel))
			}
			p[who] = true
		}
	case "PART", "KICK":
		channel := l.param(0)
		if l.command == "KICK" {
			who = l.param(1)
		}
		if who == u.nick {
			wrong(fmt.Sprintf("he is taken out of %s: %s %s", channel, l.command, strings.Join(l.params, " ")))
			delete(v.present, channel)
			u.left(at, channel)
			return
		}
		if p := v.present[channel]; p != nil && !p[who] {
			wrong(fmt.Sprintf("%s goes from %s, and was not there", who, channel))
		}
		delete(v.present[channel], who)
	case "QUIT":
		seen := false
		for _, p := range v.present {
			seen = seen || p[who]
			delete(p, who)
		}
		if !seen && who != u.nick && len(v.present) == len(u.r.channels) {
			wrong(fmt.Sprintf("%s quits, and was in no channel", who))
		}
	}
}
