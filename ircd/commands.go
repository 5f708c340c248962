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
	early capSet // with one of these it is allowed before registration too
	// asIs: the handler does not wait for the outcomes of messages sent
	// before, since its answer cannot overtake one.
	asIs bool
	// needs are the capabilities without which there is no such command.
	needs capSet
	// usage and help are what HELP shows: the parameters, and one line on what
	// the command does.
	usage, help string
}

// commandTable is the one list of what clients may ask.
func commandTable() map[string]command {
	return map[string]command{
		"PASS": {run: cmdPass, least: 1, when: before, usage: "<password>",
			help: "Gives the password of this server, before NICK and USER, if it has one."},
		"NICK": {run: cmdNick, when: anyPhase, usage: "<nickname>", // without a nick it is 431, not 461
			help: "Takes a nickname, which nobody else in the whole network has."},
		"USER": {run: cmdUser, least: 4, when: before, usage: "<user name> 0 * :<real name>",
			help: "Says who you are; with NICK it lets you in."},
		"CAP": {run: cmdCap, least: 1, when: anyPhase, usage: "LS [302] | LIST | REQ :<capabilities> | END",
			help: "Agrees on what this connection can do beyond plain IRC."},
		"PING": {run: cmdPing, least: 1, when: anyPhase, usage: "<token>",
			help: "Asks for a PONG, which comes after the answers to all that was sent before."},
		"PONG": {run: cmdPong, when: anyPhase, asIs: true, usage: "<token>",
			help: "Answers a PING of the server."},
		"QUIT": {run: cmdQuit, when: anyPhase, usage: "[:<reason>]",
			help: "Leaves, and tells those who share a channel with you."},

		"PRIVMSG": {run: cmdPrivmsg, when: after, asIs: true, usage: "<target>{,<target>} :<text>", // 411 and 412, not 461
			help: "Says something to channels, to users, or by its ID to all users of a node."},
		"NOTICE": {run: cmdNotice, when: after, asIs: true, usage: "<target>{,<target>} :<text>",
			help: "As PRIVMSG, but nothing answers it by itself."},
		"TAGMSG": {run: cmdTagmsg, least: 1, when: after, asIs: true, needs: capMessageTags, usage: "<target>{,<target>}",
			help: "Sends client-only tags without a text, as when you are typing; for clients with message-tags."},
		"BATCH": {run: cmdBatch, least: 1, when: after, asIs: true, needs: capMultilines, usage: "+<reference> draft/multiline <target> | -<reference>",
			help: "Begins and ends a message of several lines; for clients with draft/multiline and batch."},
		"REDACT": {run: cmdRedact, least: 2, when: after, needs: capMessageRedaction, usage: "<target> <message ID> [:<reason>]",
			help: "Takes back what you said, or for channel operators what anybody said there; for clients with draft/message-redaction."},

		"JOIN": {run: cmdJoin, least: 1, when: after, usage: "<channel>{,<channel>} [<key>{,<key>}] | 0",
			help: "Joins channels; one that does not exist is made, and you are its operator. JOIN 0 leaves all."},
		"PART": {run: cmdPart, least: 1, when: after, usage: "<channel>{,<channel>} [:<reason>]",
			help: "Leaves channels."},
		"TOPIC": {run: cmdTopic, least: 1, when: after, usage: "<channel> [:<topic>]",
			help: "Shows or sets the topic of a channel."},
		"NAMES": {run: cmdNames, when: after, usage: "<channel>{,<channel>}",
			help: "Lists the members of channels."},
		"LIST": {run: cmdList, when: after, usage: "[<mask>|!<mask>|[C|T]<<n>|[C|T]><n>{,...}]",
			help: "Lists the channels that are not secret: by mask, less or more than n users, made (C) or their topic set (T) n minutes ago."},
		"INVITE": {run: cmdInvite, least: 2, when: after, usage: "<nickname> <channel>",
			help: "Invites a user to a channel, past its mode +i."},
		"KNOCK": {run: cmdKnock, least: 1, when: after, usage: "<channel> [:<text>]",
			help: "Asks the operators of a channel with mode +i for an invitation."},
		"KICK": {run: cmdKick, least: 2, when: after, usage: "<channel> <nickname>{,<nickname>} [:<reason>]",
			help: "Removes users from a channel; for its operators."},
		"RENAME": {run: cmdRename, least: 2, when: after, usage: "<channel> <new name> [:<reason>]",
			help: "Gives a channel another name; for its operators."},
		"MODE": {run: cmdMode, least: 1, when: after, usage: "<channel>|<your nickname> [<modes> [<parameters>]]",
			help: "Shows or changes modes. Channel: b e I k l C R i m n s t, members: o v, yourself: i w, and of operators o s."},

		"WHO": {run: cmdWho, when: after, usage: "[<channel>|<mask> [<fields>][%<fields>[,<token>]]]",
			help: "Shows the members of a channel, or those you know of whom a mask fits. WHOX."},
		"WHOIS": {run: cmdWhois, when: after, usage: "[<server>] <nickname>", // 431, not 461
			help: "Shows what is known of a user."},
		"WHOWAS": {run: cmdWhowas, when: after, usage: "<nickname>{,<nickname>} [<count> [<server>]]", // 431, not 461
			help: "Shows who had a nickname before, the latest first."},
		"SETNAME": {run: cmdSetname, least: 1, when: after, usage: ":<real name>",
			help: "Changes your real name, which WHOIS shows."},
		"AWAY": {run: cmdAway, when: after, early: capPreAway, usage: "[:<text>]",
			help: "Says that you are away and why, or without a text that you are back."},
		"ISON": {run: cmdIson, least: 1, when: after, usage: "<nickname>{ <nickname>}",
			help: "Says which of these users are there."},
		"MONITOR": {run: cmdMonitor, least: 1, when: after, usage: "+|- <nickname>{,<nickname>} | C | L | S",
			help: "Tells you when users come and go: + adds, - removes, C clears, L lists, S shows who is there."},
		"USERHOST": {run: cmdUserhost, least: 1, when: after, usage: "<nickname>{ <nickname>}",
			help: "Shows user name and host of up to five users."},

		"METADATA": {run: cmdMetadata, least: 1, when: after, early: capMetadata2 | capMetadata3,
			usage: "<target>|* GET|LIST|SET|CLEAR|SUB|UNSUB|SUBS|SYNC [<key> ...] [:<value>]",
			help:  "Shows and sets keys with values: of users, and of channels for their operators. SUB has you told of changes."},

		"MOTD": {run: cmdMotd, when: after, usage: "[<server>]",
			help: "Shows the message of the day."},
		"LUSERS": {run: cmdLusers, when: after,
			help: "Counts users, channels and nodes, as far as this node knows them."},
		"VERSION": {run: cmdVersion, when: after, usage: "[<server>]",
			help: "Shows the version of this server, and what it supports."},
		"ISUPPORT": {run: cmdISupport, when: after, early: capExtendedISupport,
			help: "Shows what this server supports."},
		"TIME": {run: cmdTime, when: after, usage: "[<server>]",
			help: "Shows the time of this server, in UTC."},
		"INFO": {run: cmdInfo, when: after, usage: "[<server>]",
			help: "Says what this server is."},
		"ADMIN": {run: cmdAdmin, when: after, usage: "[<server>]",
			help: "Says who runs this server, if its configuration does."},
		"STATS": {run: cmdStats, when: after, usage: "<letter> [<server>]",
			help: "Figures of this server: l your connection, m commands, u how long it has been up; for its operators also l all connections, o operators, p ports, c connections."},
		"HELP": {run: cmdHelp, when: after, usage: "[<command>]",
			help: "Lists the commands, or explains one."},
		"HELPOP": {run: cmdHelp, when: after, usage: "[<command>]",
			help: "The same as HELP."},

		"OPER": {run: cmdOper, least: 1, when: after, usage: "<name> [<password>]",
			help: "Makes you an operator of this server, if its configuration has you as one."},
		"KILL": {run: cmdKill, least: 1, when: after, usage: "<nickname> [:<reason>]",
			help: "Ends the session of a user of this server; for its operators."},
		"WALLOPS": {run: cmdWallops, least: 1, when: after, usage: ":<text>",
			help: "Says something to all users of this server who have mode w; for its operators."},
		"REHASH": {run: cmdRehash, when: after, usage: "[<server>]",
			help: "Has the configuration read again; for operators of this server."},
		"DIE": {run: cmdDie, when: after, usage: "[<server>]",
			help: "Stops this node in order; for its operators."},

		"LINKS": {run: cmdLinks, when: after, usage: "[[<server>] <mask>]",
			help: "Lists servers: this one. The nodes of the network are no servers of yours."},
		"MAP": {run: cmdMap, when: after,
			help: "Draws the servers: this one."},
		"TRACE": {run: cmdTrace, when: after, usage: "[<server>]",
			help: "Shows the way to a server: you are on the only one. Operators are shown its users."},
		"USERS": {run: cmdUsers, when: after, usage: "[<server>]",
			help: "Would list who is logged in at the machine; no server tells that any more."},
		"SUMMON": {run: cmdSummon, when: after, usage: "<user>",
			help: "Would call somebody at the machine to IRC; no server does that any more."},
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
	case !known, now == after && c.caps&cmd.needs != cmd.needs:
		c.settle()
		c.reply(errUnknownCommand, m.command)
		return nil
	case cmd.when&now == 0 && now == before && c.caps&cmd.early == 0:
		c.reply(errNotRegistered)
		return nil
	case cmd.when&now == 0 && now == after:
		c.reply(errAlreadyReg)
		return nil
	}
	if c.caps&capMultilines == capMultilines && (c.opened != nil || m.batch != "") && c.batched(m) {
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
