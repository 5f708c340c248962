package ircd

// A phase says when a command is allowed.
type phase uint8

const (
	before   phase = 1 << iota // registration
	after                      // registration
	anyPhase = before | after
)

// A command is a row of the table. Its handler may count on the number of
// parameters and on the phase; an error that it returns ends the connection.
type command struct {
	run   func(*conn, *message) error
	least int // parameters
	when  phase
	// asIs: the handler does not wait for the outcomes of messages sent
	// before, since its answer cannot overtake one.
	asIs bool
}

// commandTable is the one list of what clients may ask.
func commandTable() map[string]command {
	return map[string]command{
		"PASS": {run: cmdPass, least: 1, when: before},
		"NICK": {run: cmdNick, when: anyPhase}, // without a nick it is 431, not 461
		"USER": {run: cmdUser, least: 4, when: before},
		"CAP":  {run: cmdCap, least: 1, when: anyPhase},
		"PING": {run: cmdPing, least: 1, when: anyPhase},
		"PONG": {run: cmdPong, when: anyPhase, asIs: true},
		"QUIT": {run: cmdQuit, when: anyPhase},

		"PRIVMSG": {run: cmdPrivmsg, when: after, asIs: true}, // 411 and 412, not 461
		"NOTICE":  {run: cmdNotice, when: after, asIs: true},

		"JOIN":   {run: cmdJoin, least: 1, when: after},
		"PART":   {run: cmdPart, least: 1, when: after},
		"TOPIC":  {run: cmdTopic, least: 1, when: after},
		"NAMES":  {run: cmdNames, when: after},
		"LIST":   {run: cmdList, when: after},
		"INVITE": {run: cmdInvite, least: 2, when: after},
		"KICK":   {run: cmdKick, least: 2, when: after},
		"MODE":   {run: cmdMode, least: 1, when: after},

		"WHO":      {run: cmdWho, when: after},
		"WHOIS":    {run: cmdWhois, when: after}, // 431, not 461
		"AWAY":     {run: cmdAway, when: after},
		"ISON":     {run: cmdIson, least: 1, when: after},
		"USERHOST": {run: cmdUserhost, least: 1, when: after},

		"MOTD":    {run: cmdMotd, when: after},
		"LUSERS":  {run: cmdLusers, when: after},
		"VERSION": {run: cmdVersion, when: after},
		"TIME":    {run: cmdTime, when: after},
	}
}

// dispatch runs the handler of a line. It alone writes 421, 451, 461 and 462.
func (c *conn) dispatch(m *message) error {
	cmd, known := c.srv.commands[m.command]
	now := before
	if c.session != nil {
		now = after
	}
	switch {
	case !known:
		c.settle()
		c.reply(errUnknownCommand, m.command)
		return nil
	case cmd.when&now == 0 && now == before:
		c.reply(errNotRegistered)
		return nil
	case cmd.when&now == 0:
		c.reply(errAlreadyReg)
		return nil
	}
	if c.unsure {
		c.aside(c.reconcile)
	}
	if !cmd.asIs {
		c.settle()
	}
	if len(m.params) < cmd.least || cmd.least > 0 && m.params[0] == "" {
		c.reply(errNeedMoreParams, m.command)
		return nil
	}
	return cmd.run(c, m)
}
