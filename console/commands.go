package console

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"ircbridge/chat"
)

// command is one row of the table: what to type, and what it does.
type command struct {
	name   string
	params string // as help shows them; those not in [] must be given
	help   string
	// run does it. arg is what follows the name. It belongs to Serve's
	// goroutine and has a session; ctx ends after commandTime.
	run func(c *Console, ctx context.Context, arg string) error
	// unconnected: it works without a session too.
	unconnected bool
}

// commandTable lists the commands in the order of help. exit, quit and help
// are in it for help only.
func commandTable() []command {
	return []command{
		{"nick", "<name>", "take another nick", (*Console).cmdNick, true},
		{"setname", "<real name>", "take another real name", (*Console).cmdSetname, false},
		{"join", "<channel> [key]", "join a channel, or found it", (*Console).cmdJoin, false},
		{"leave", "<channel> [reason]", "leave a channel", (*Console).cmdLeave, false},
		{"send", "<channel> <text>", "say something to a channel, joined or not", (*Console).cmdSend, false},
		{"msg", "<nick or node ID> <text>", "say something to one user, or to all users of a node", (*Console).cmdMsg, false},
		{"names", "<channel>", "who is on a channel", (*Console).cmdNames, false},
		{"topic", "<channel> [text]", "show a channel's topic, or set it", (*Console).cmdTopic, false},
		{"rename", "<channel> <name> [reason]", "give a channel another name", (*Console).cmdRename, false},
		{"list", "", "all channels that are not secret", (*Console).cmdList, false},
		{"whois", "<nick>", "who somebody is, and where", (*Console).cmdWhois, false},
		{"whowas", "<nick>", "who had a nick before", (*Console).cmdWhowas, false},
		{"keeper", "<channel>", "which node keeps a channel", (*Console).cmdKeeper, false},
		{"status", "", "what this node does: its ring, its connections, what it keeps", (*Console).cmdStatus, true},
		{"help", "", "this list", nil, true},
		{"exit", "[reason]", "leave all channels and end the node (also: quit)", nil, true},
	}
}

// errUsage: a parameter is missing.
var errUsage = errors.New("a parameter is missing")

// told is an error whose text says all that the user needs; other errors are
// shown with the command in front.
type told string

func (t told) Error() string { return string(t) }

// reason is what an error comes down to: mostly the text of one of package
// chat's errors, without what was tried, which the user has just typed.
func reason(err error) string {
	var silenced *chat.SendError
	if errors.As(err, &silenced) {
		return silenced.Error()
	}
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}

// command runs one line. Its error ends Serve; what goes wrong with the
// command itself is told to the user.
func (c *Console) command(ctx context.Context, text string) error {
	name, arg := word(text)
	name = strings.ToLower(strings.TrimPrefix(name, "/"))
	switch name {
	case "":
		return nil
	case "help":
		c.help()
		return nil
	case "exit", "quit":
		return c.exit(ctx, arg)
	}
	for _, cmd := range commandTable() {
		if cmd.name == name {
			c.runOne(ctx, cmd, arg)
			return nil
		}
	}
	c.out.fail("there is no command %s; help lists them", start(name))
	return nil
}

func (c *Console) runOne(ctx context.Context, cmd command, arg string) {
	if c.session == nil && !cmd.unconnected {
		c.out.fail("you are not connected; nick <name> connects you")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, commandTime)
	defer cancel()
	err := cmd.run(c, ctx, arg)
	var text told
	switch {
	case err == nil, errors.Is(err, chat.ErrClosed), errors.Is(err, context.Canceled): // Serve tells of those
	case errors.Is(err, errUsage):
		c.out.fail("usage: %s %s", cmd.name, cmd.params)
	case errors.Is(err, context.DeadlineExceeded):
		c.out.fail("%s: no answer within %v; it may still happen", cmd.name, commandTime)
	case errors.As(err, &text):
		c.out.fail("%s", text)
	default:
		first, _ := word(arg)
		c.out.fail("%s: %s", strings.TrimSpace(cmd.name+" "+chat.Cut(first, 2*chat.MaxChannel)), reason(err))
	}
}

func (c *Console) help() {
	for _, cmd := range commandTable() {
		c.out.info("%-34s %s", strings.TrimSpace(cmd.name+" "+cmd.params), cmd.help)
	}
}

// exit ends the whole program, after what was sent has had its outcome.
func (c *Console) exit(ctx context.Context, reason string) error {
	if reason = strings.TrimSpace(reason); reason == "" {
		reason = "exit"
	}
	c.tally.wait(ctx, drainTime)
	c.out.info("goodbye")
	c.close(reason, true)
	return fmt.Errorf("console: %w", chat.ErrExit)
}

func (c *Console) cmdNick(ctx context.Context, arg string) error {
	nick, _ := word(arg)
	if nick == "" {
		return errUsage
	}
	if c.session == nil {
		c.connect(ctx, nick, 1)
		return nil
	}
	if err := c.session.SetNick(ctx, nick); err != nil {
		return err
	}
	c.out.info("you are now %s", c.session.Self().Nick)
	return nil
}

func (c *Console) cmdSetname(ctx context.Context, arg string) error {
	name := strings.TrimSpace(arg)
	if name == "" {
		return errUsage
	}
	if err := c.session.SetRealname(ctx, name); err != nil {
		return err
	}
	c.out.info("your real name is now: %s", c.session.Self().Realname)
	return nil
}

// cmdStatus shows what the node says of itself.
func (c *Console) cmdStatus(ctx context.Context, _ string) error {
	var lines []string
	if c.ask != nil {
		lines = c.ask(ctx, "status")
	}
	if lines == nil {
		return told("this node tells nothing about itself here")
	}
	for _, line := range lines {
		c.out.info("%s", line)
	}
	return nil
}

// channelWord cuts a channel name off and adds a missing #.
func channelWord(arg string) (name, rest string, err error) {
	name, rest = word(arg)
	if name == "" {
		return "", "", errUsage
	}
	if name[0] != '#' {
		name = "#" + name
	}
	if !chat.ValidChannel(name) {
		return "", "", chat.ErrBadChannel
	}
	return name, rest, nil
}

func (c *Console) cmdJoin(ctx context.Context, arg string) error {
	name, rest, err := channelWord(arg)
	if err != nil {
		return err
	}
	key, _ := word(rest)
	ch, err := c.session.Join(ctx, name, key)
	if err != nil {
		return err
	}
	c.out.info("you have joined %s", ch.Name)
	c.showMembers(ch)
	if ch.Topic.Text != "" {
		c.out.info("topic of %s: %s", ch.Name, ch.Topic.Text)
	}
	return nil
}

func (c *Console) cmdLeave(ctx context.Context, arg string) error {
	name, reason, err := channelWord(arg)
	if err != nil {
		return err
	}
	if err := c.session.Part(ctx, name, strings.TrimSpace(reason)); err != nil {
		return err
	}
	c.out.info("you have left %s", name)
	return nil
}

func (c *Console) cmdSend(ctx context.Context, arg string) error {
	name, text, err := channelWord(arg)
	if err != nil {
		return err
	}
	return c.send(ctx, name, text)
}

func (c *Console) cmdMsg(ctx context.Context, arg string) error {
	target, text := word(arg)
	switch {
	case target == "":
		return errUsage
	case target[0] == '#':
		return told("msg is for a nick or a node ID; send <channel> <text> is for a channel")
	}
	return c.send(ctx, target, text)
}

// send queues a message. A full queue is waited for, once: input from a file
// is faster than any network.
func (c *Console) send(ctx context.Context, target, text string) error {
	switch {
	case text == "":
		return errUsage
	case len(text) > chat.MaxText:
		return notSent(target, text, fmt.Sprintf("longer than %d bytes", chat.MaxText))
	}
	m := chat.Outgoing{Target: target, Text: text}
	c.tally.add(1)
	_, err := c.session.Send(m)
	if errors.Is(err, chat.ErrQueueFull) && c.session.Flush(ctx) == nil {
		_, err = c.session.Send(m)
	}
	if err != nil {
		c.tally.add(-1)
		if errors.Is(err, chat.ErrClosed) {
			return err
		}
		return notSent(target, text, reason(err))
	}
	return nil
}

// notSent tells of a message that did not go out.
func notSent(target, text, why string) told {
	return told(fmt.Sprintf("not sent to %s: %s: %s", chat.Cut(target, 2*chat.MaxChannel), start(text), why))
}

func (c *Console) cmdNames(ctx context.Context, arg string) error {
	name, _, err := channelWord(arg)
	if err != nil {
		return err
	}
	ch, err := c.session.Channel(ctx, name)
	if err != nil {
		return err
	}
	c.showMembers(ch)
	return nil
}

// showMembers lists the members of a channel, some hundred bytes a line.
func (c *Console) showMembers(ch chat.Channel) {
	const width = 400
	head := ch.Name + ", " + count(ch.Count, "member")
	if ch.Secret {
		c.out.info("%s, and it is secret who", head)
		return
	}
	names := ""
	for _, m := range ch.Members {
		names += " " + m.Status.Sign() + m.Nick
		if len(names) > width {
			c.out.info("%s:%s", head, names)
			names = ""
		}
	}
	if names != "" {
		c.out.info("%s:%s", head, names)
	}
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func (c *Console) cmdTopic(ctx context.Context, arg string) error {
	name, text, err := channelWord(arg)
	if err != nil {
		return err
	}
	if text = strings.TrimSpace(text); text != "" {
		if err := c.session.SetTopic(ctx, name, text); err != nil {
			return err
		}
		c.out.info("topic of %s is now: %s", name, text)
		return nil
	}
	ch, err := c.session.Channel(ctx, name)
	switch {
	case err != nil:
		return err
	case ch.Secret:
		c.out.info("the topic of %s is secret", ch.Name)
	case ch.Topic.Text == "":
		c.out.info("%s has no topic", ch.Name)
	default:
		c.out.info("topic of %s: %s (by %s, %s)", ch.Name, ch.Topic.Text, ch.Topic.By, c.date(ch.Topic.At))
	}
	return nil
}

// cmdRename is told of by the event that all members get.
func (c *Console) cmdRename(ctx context.Context, arg string) error {
	name, rest, err := channelWord(arg)
	if err != nil {
		return err
	}
	to, reason, err := channelWord(rest)
	if err != nil {
		return err
	}
	return c.session.RenameChannel(ctx, name, to, strings.TrimSpace(reason))
}

func (c *Console) date(at time.Time) string {
	return at.In(c.out.zone).Format("2006-01-02 15:04")
}

func (c *Console) cmdList(ctx context.Context, _ string) error {
	list, err := c.session.List(ctx)
	if err != nil {
		return err
	}
	for _, l := range list {
		c.out.info("%s", strings.TrimSuffix(fmt.Sprintf("%s, %s: %s", l.Name, count(l.Count, "member"), l.Topic), ": "))
	}
	c.out.info("%s", count(len(list), "channel"))
	return nil
}

func (c *Console) cmdWhois(ctx context.Context, arg string) error {
	nick, _ := word(arg)
	if nick == "" {
		return errUsage
	}
	w, err := c.session.Lookup(ctx, nick)
	if err != nil {
		return err
	}
	c.out.info("%s is %s (%s) on node %s", w.Nick, w.Mask(), w.Realname, w.Node)
	c.out.info("%s signed on %s, idle %v", w.Nick, c.date(w.SignOn), w.Idle.Round(time.Second))
	if len(w.Channels) > 0 {
		c.out.info("%s is on %s", w.Nick, strings.Join(w.Channels, " "))
	}
	if w.Account != "" {
		c.out.info("%s has the account %s", w.Nick, w.Account)
	}
	if w.Away != "" {
		c.out.info("%s is away: %s", w.Nick, w.Away)
	}
	return nil
}

func (c *Console) cmdWhowas(ctx context.Context, arg string) error {
	nick, _ := word(arg)
	if nick == "" {
		return errUsage
	}
	list, err := c.session.Whowas(ctx, nick, 0)
	if err != nil {
		return err
	}
	for _, p := range list {
		c.out.info("%s was %s (%s) until %s", p.Nick, p.Mask(), p.Realname, c.date(p.Until))
	}
	if len(list) == 0 {
		c.out.info("nobody is remembered as %s", nick)
	}
	return nil
}

func (c *Console) cmdKeeper(ctx context.Context, arg string) error {
	name, _, err := channelWord(arg)
	if err != nil {
		return err
	}
	k, err := c.session.Keeper(ctx, name)
	if err != nil {
		return err
	}
	whose := "another node"
	if k.Self {
		whose = "this node"
	}
	members := count(k.Count, "member")
	if !k.Known {
		members = "nobody is on it"
	}
	c.out.info("%s is kept by %s: ID %s, host %s; %s", name, whose, k.Node, k.Host, members)
	return nil
}
