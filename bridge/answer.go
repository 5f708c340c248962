package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"ircbridge/bridge/control"
)

// askTime is how long a question to the running node may take: the longest of
// them asks one node of the ring after the other.
const askTime = 20 * time.Second

// ErrNobody says that no node answers on a data directory.
var ErrNobody = control.ErrNobody

// request is what is asked over the control socket; docs/control.md has it.
type request struct {
	Ask  string `json:"ask"`
	Name string `json:"name,omitempty"` // to be looked up
}

// reply has one of these.
type reply struct {
	Error      string      `json:"error,omitempty"`
	Status     *Status     `json:"status,omitempty"`
	Invitation *Invitation `json:"invitation,omitempty"`
	Trace      *Trace      `json:"trace,omitempty"`
}

// openControl takes the control socket. A node works without it, too.
func (n *Node) openControl(p *parts) {
	var err error
	if p.control, err = control.Listen(p.dir.path); err != nil {
		n.say("ircbridge status and its like cannot ask this node: %v", err)
		p.log.Warn("no control socket", "err", err)
	}
}

// answer answers over the control socket until ctx is done.
func (n *Node) answer(ctx context.Context, p *parts) {
	if p.control == nil {
		return
	}
	p.control.Serve(ctx, func(ctx context.Context, raw json.RawMessage) any {
		var q request
		if err := json.Unmarshal(raw, &q); err != nil {
			return reply{Error: "the request is no JSON object with a text for \"ask\""}
		}
		return n.reply(ctx, p, q)
	})
}

func (n *Node) reply(ctx context.Context, p *parts, q request) reply {
	switch q.Ask {
	case "status":
		s := n.status(p)
		return reply{Status: &s}
	case "invite":
		i := n.invite(p)
		return reply{Invitation: &i}
	case "lookup":
		select {
		case <-n.ready: // before that there is no ring to look in
		case <-ctx.Done():
			return reply{Error: "this node is leaving"}
		}
		t, err := p.trace(q.Name)
		if err != nil {
			return reply{Error: err.Error()}
		}
		return reply{Trace: &t}
	}
	return reply{Error: fmt.Sprintf("this node (ircbridge %s) does not know the question %q; it answers status, invite and lookup", n.env.Version, q.Ask)}
}

// query asks the node that runs on a data directory.
func query(ctx context.Context, dataDir string, q request) (reply, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	var r reply
	err := control.Call(ctx, dataDir, q, &r)
	if err == nil && r.Error != "" {
		err = errors.New(r.Error)
	}
	return r, err
}

// QueryStatus asks the node that runs on a data directory for its status.
// ErrNobody: none does.
func QueryStatus(ctx context.Context, dataDir string) (Status, error) {
	r, err := query(ctx, dataDir, request{Ask: "status"})
	switch {
	case err != nil:
		return Status{}, err
	case r.Status == nil:
		return Status{}, errors.New("the node answered without its status")
	}
	return *r.Status, nil
}

// askHelp lists the questions of users.
const askHelp = `status: what this node is, and its neighbours on the ring
keeper #channel: which node keeps a channel (or a nick)
invite: the line with which a friend joins
help: this list
`

// ask answers a question of a user in lines for him (chat.Setup.Ask).
func (n *Node) ask(ctx context.Context, p *parts, question string) []string {
	words := strings.Fields(question)
	if len(words) == 0 {
		words = []string{"help"}
	}
	var text strings.Builder
	switch strings.ToLower(words[0]) {
	case "status":
		text.WriteString(n.status(p).userText())
	case "keeper":
		if len(words) != 2 {
			text.WriteString("Of which channel or nick? Ask: keeper #channel\n")
			break
		}
		text.WriteString(p.keeper(ctx, words[1]) + "\n")
	case "invite":
		text.WriteString(n.invite(p).Text())
	case "help":
		text.WriteString(askHelp)
	default:
		text.WriteString("I do not know that; \"help\" lists what I know.\n")
	}
	return linesOf(text.String())
}

// linesOf are the lines of a text that say something.
func linesOf(text string) []string {
	var list []string
	for line := range strings.Lines(text) {
		if line = strings.TrimRight(line, " \n"); line != "" {
			list = append(list, line)
		}
	}
	return list
}
