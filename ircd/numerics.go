package ircd

import (
	"context"
	"errors"
	"slices"
	"strings"

	"ircbridge/chat"
)

// A numeric is a reply: its number and, where that is always the same, its
// text, which is the last parameter.
type numeric struct {
	code string
	text string
}

// The replies, in the order of their numbers (RFC 2812, section 5, where the
// modern description does not say otherwise).
var (
	rplWelcome         = numeric{code: "001"}
	rplYourHost        = numeric{code: "002"}
	rplCreated         = numeric{code: "003"}
	rplMyInfo          = numeric{code: "004"}
	rplISupport        = numeric{"005", "are supported by this server"}
	rplMap             = numeric{code: "015"}
	rplMapEnd          = numeric{"017", "End of MAP"}
	rplTraceOperator   = numeric{code: "204"}
	rplTraceUser       = numeric{code: "205"}
	rplStatsLink       = numeric{code: "211"}
	rplStatsCommands   = numeric{code: "212"}
	rplEndOfStats      = numeric{"219", "End of STATS report"}
	rplStatsPort       = numeric{code: "220"}
	rplUModeIs         = numeric{code: "221"}
	rplStatsUptime     = numeric{code: "242"}
	rplStatsOper       = numeric{code: "243"}
	rplStatsDebug      = numeric{code: "249"}
	rplLUserClient     = numeric{code: "251"}
	rplLUserOp         = numeric{"252", "operator(s) online"}
	rplLUserUnknown    = numeric{"253", "unknown connection(s)"}
	rplLUserChannels   = numeric{"254", "channels formed"}
	rplLUserMe         = numeric{code: "255"}
	rplAdminMe         = numeric{"256", "Administrative info"}
	rplAdminLoc1       = numeric{code: "257"}
	rplAdminLoc2       = numeric{code: "258"}
	rplAdminEmail      = numeric{code: "259"}
	rplTraceEnd        = numeric{"262", "End of TRACE"}
	rplTryAgain        = numeric{"263", "Please wait a while and try again"}
	rplLocalUsers      = numeric{code: "265"}
	rplGlobalUsers     = numeric{code: "266"}
	rplAway            = numeric{code: "301"}
	rplUserHost        = numeric{code: "302"}
	rplIsOn            = numeric{code: "303"}
	rplUnAway          = numeric{"305", "You are no longer marked as being away"}
	rplNowAway         = numeric{"306", "You have been marked as being away"}
	rplWhoisUser       = numeric{code: "311"}
	rplWhoisServer     = numeric{code: "312"}
	rplWhoisOperator   = numeric{"313", "is an operator of this server"}
	rplWhowasUser      = numeric{code: "314"}
	rplEndOfWho        = numeric{"315", "End of WHO list"}
	rplWhoisIdle       = numeric{"317", "seconds idle, signon time"}
	rplEndOfWhois      = numeric{"318", "End of WHOIS list"}
	rplWhoisChannels   = numeric{code: "319"}
	rplListStart       = numeric{"321", "Users  Name"}
	rplList            = numeric{code: "322"}
	rplListEnd         = numeric{"323", "End of LIST"}
	rplChannelModeIs   = numeric{code: "324"}
	rplCreationTime    = numeric{code: "329"}
	rplWhoisAccount    = numeric{"330", "is logged in as"}
	rplNoTopic         = numeric{"331", "No topic is set"}
	rplTopic           = numeric{code: "332"}
	rplTopicWhoTime    = numeric{code: "333"}
	rplWhoisBot        = numeric{"335", "is a bot"}
	rplInviting        = numeric{code: "341"}
	rplInviteList      = numeric{code: "346"}
	rplEndOfInvites    = numeric{"347", "End of channel invite exception list"}
	rplExceptList      = numeric{code: "348"}
	rplEndOfExcepts    = numeric{"349", "End of channel exception list"}
	rplVersion         = numeric{code: "351"}
	rplWhoReply        = numeric{code: "352"}
	rplNamReply        = numeric{code: "353"}
	rplWhoSpecial      = numeric{code: "354"}
	rplLinks           = numeric{code: "364"}
	rplEndOfLinks      = numeric{"365", "End of LINKS list"}
	rplEndOfNames      = numeric{"366", "End of NAMES list"}
	rplBanList         = numeric{code: "367"}
	rplEndOfBanList    = numeric{"368", "End of channel ban list"}
	rplEndOfWhowas     = numeric{"369", "End of WHOWAS"}
	rplInfo            = numeric{code: "371"}
	rplMOTD            = numeric{code: "372"}
	rplEndOfInfo       = numeric{"374", "End of INFO list"}
	rplMOTDStart       = numeric{code: "375"}
	rplEndOfMOTD       = numeric{"376", "End of MOTD command"}
	rplWhoisHost       = numeric{code: "378"}
	rplWhoisModes      = numeric{code: "379"}
	rplYoureOper       = numeric{"381", "You are now an IRC operator"}
	rplRehashing       = numeric{"382", "Rehashing"}
	rplTime            = numeric{code: "391"}
	rplWhoisSecure     = numeric{"671", "is using a secure connection"}
	rplHelpStart       = numeric{code: "704"}
	rplHelpText        = numeric{code: "705"}
	rplEndOfHelp       = numeric{"706", "End of HELP"}
	rplMonOnline       = numeric{code: "730"}
	rplMonOffline      = numeric{code: "731"}
	rplMonList         = numeric{code: "732"}
	rplEndOfMonList    = numeric{"733", "End of MONITOR list"}
	rplWhoisKeyValue   = numeric{code: "760"}
	rplKeyValue        = numeric{code: "761"}
	rplKeyNotSet       = numeric{"766", "The key is not set"}
	rplMetadataSubOK   = numeric{code: "770"}
	rplMetadataUnsubOK = numeric{code: "771"}
	rplMetadataSubs    = numeric{code: "772"}

	rplKnock          = numeric{code: "710"}
	rplKnockDelivered = numeric{"711", "Your KNOCK has been delivered"}
	errTooManyKnocks  = numeric{"712", "Too many KNOCKs: wait a minute"}
	errChannelOpen    = numeric{"713", "Channel is open: join it"}
	errKnockOnChannel = numeric{"714", "You are already on that channel"}

	errNoSuchNick       = numeric{"401", "No such nick/channel"}
	errNoSuchServer     = numeric{"402", "No such server"}
	errNoSuchChannel    = numeric{"403", "No such channel"}
	errCannotSend       = numeric{"404", "Cannot send to channel"}
	errCannotSendToUser = numeric{"531", "You cannot send to this user"}
	errTooManyChannels  = numeric{"405", "You have joined too many channels"}
	errWasNoSuchNick    = numeric{"406", "There was no such nickname"}
	errTooManyTargets   = numeric{"407", "Too many targets: this one and those after it were left out"}
	errInvalidCapCmd    = numeric{"410", "Invalid CAP command"}
	errNoRecipient      = numeric{"411", "No recipient given"}
	errNoTextToSend     = numeric{"412", "No text to send"}
	errInputTooLong     = numeric{"417", "Input line was too long"}
	errUnknownCommand   = numeric{"421", "Unknown command"}
	errNoMOTD           = numeric{"422", "MOTD File is missing"}
	errNoAdminInfo      = numeric{"423", "No administrative info available"}
	errNoNicknameGiven  = numeric{"431", "No nickname given"}
	errErroneusNickname = numeric{"432", "Erroneous nickname"}
	errNicknameInUse    = numeric{"433", "Nickname is already in use"}
	errUnavailable      = numeric{"437", "Nick/channel is temporarily unavailable: the network did not answer"}
	errNickTooFast      = numeric{code: "438"}
	errUserNotInChannel = numeric{"441", "They aren't on that channel"}
	errNotOnChannel     = numeric{"442", "You're not on that channel"}
	errUserOnChannel    = numeric{"443", "is already on channel"}
	errSummonDisabled   = numeric{"445", "SUMMON has been disabled"}
	errUsersDisabled    = numeric{"446", "USERS has been disabled"}
	errNotRegistered    = numeric{"451", "You have not registered"}
	errNeedMoreParams   = numeric{"461", "Not enough parameters"}
	errAlreadyReg       = numeric{"462", "You may not reregister"}
	errPasswdMismatch   = numeric{"464", "Password incorrect"}
	errLinkChannel      = numeric{"470", "The channel has been renamed"}
	errChannelIsFull    = numeric{"471", "Cannot join channel (+l)"}
	errUnknownMode      = numeric{"472", "is unknown mode char to me"}
	errInviteOnlyChan   = numeric{"473", "Cannot join channel (+i)"}
	errBannedFromChan   = numeric{"474", "Cannot join channel (+b)"}
	errBadChannelKey    = numeric{"475", "Cannot join channel (+k)"}
	errBadChanMask      = numeric{"476", "Bad channel mask: a name is # and 1 to 49 bytes without space or comma"}
	errNeedReggedNick   = numeric{"477", "Cannot join channel (+R): you have no account"}
	errBanListFull      = numeric{"478", "Channel list is full"}
	errCannotKnock      = numeric{"480", "Cannot knock on channel (+b)"}
	errNoPrivileges     = numeric{"481", "Permission Denied: you're not an IRC operator"}
	errChanOPrivsNeeded = numeric{"482", "You're not channel operator"}
	errCantKillServer   = numeric{"483", "You can't kill a server"}
	errNoOperHost       = numeric{"491", "This server has no operators"}
	errUModeUnknownFlag = numeric{"501", "Unknown MODE flag"}
	errUsersDontMatch   = numeric{"502", "Can't change mode for other users"}
	errHelpNotFound     = numeric{"524", "No help available on this topic"}
	errInvalidModeParam = numeric{"696", "Invalid mode parameter"}
	errMonListFull      = numeric{"734", "Monitor list is full"}
)

// subject is what a failed request was about: each numeric takes from it the
// parameters that it has.
type subject struct {
	command string
	channel string
	nick    string
	mode    byte
	param   string
}

// target is the one thing that the request named.
func (s subject) target() string {
	if s.nick != "" {
		return s.nick
	}
	return s.channel
}

// place is where the request was to change something.
func (s subject) place() string {
	if s.channel != "" {
		return s.channel
	}
	return s.nick
}

// A failure is a row of the table from chat's errors to replies.
type failure struct {
	err    error
	num    numeric // without code: nothing is said here (the reason follows)
	params func(subject) []string
}

func aboutTarget(s subject) []string  { return []string{s.target()} }
func aboutPlace(s subject) []string   { return []string{s.place()} }
func aboutNick(s subject) []string    { return []string{s.nick} }
func aboutChannel(s subject) []string { return []string{s.channel} }
func aboutCommand(s subject) []string { return []string{s.command} }
func aboutMember(s subject) []string  { return []string{s.nick, s.channel} }
func aboutMode(s subject) []string    { return []string{string(rune(s.mode))} }
func aboutList(s subject) []string    { return []string{s.channel, string(rune(s.mode))} }
func aboutParam(s subject) []string {
	return []string{s.channel, string(rune(s.mode)), s.param}
}

// aboutNames are those of a channel, before and after.
func aboutNames(s subject) []string { return []string{s.channel, s.param} }

// failures has a row for each error of package chat. The order decides when an
// error wraps two.
var failures = []failure{
	{chat.ErrClosed, numeric{}, nil},  // the connection ends, and says why
	{chat.ErrStopped, numeric{}, nil}, // as above
	{chat.ErrExit, numeric{}, nil},    // never given to a session's user
	{chat.ErrBadNick, errErroneusNickname, aboutNick},
	{chat.ErrBadChannel, errBadChanMask, aboutChannel},
	{chat.ErrBadTarget, errNoSuchNick, aboutTarget},
	{chat.ErrNickInUse, errNicknameInUse, aboutNick},
	{chat.ErrNoSuchNick, errNoSuchNick, aboutTarget},
	{chat.ErrNoSuchNode, errNoSuchNick, aboutTarget},
	{chat.ErrNoSuchChannel, errNoSuchChannel, aboutChannel},
	{chat.ErrNotOnChannel, errNotOnChannel, aboutChannel},
	{chat.ErrNotInChannel, errUserNotInChannel, aboutMember},
	{chat.ErrUserOnChannel, errUserOnChannel, aboutMember},
	{chat.ErrAlreadyJoined, numeric{}, nil}, // as every server does
	{chat.ErrNoPrivileges, errChanOPrivsNeeded, aboutChannel},
	{chat.ErrCannotSend, errCannotSend, aboutTarget},
	{chat.ErrBanned, errBannedFromChan, aboutChannel},
	{chat.ErrInviteOnly, errInviteOnlyChan, aboutChannel},
	{chat.ErrBadKey, errBadChannelKey, aboutChannel},
	{chat.ErrNeedAccount, errNeedReggedNick, aboutChannel},
	{chat.ErrChannelFull, errChannelIsFull, aboutChannel},
	{chat.ErrTooManyChannels, errTooManyChannels, aboutChannel},
	{chat.ErrChannelOpen, errChannelOpen, aboutChannel},
	{chat.ErrTooManyKnocks, errTooManyKnocks, aboutChannel},
	{chat.ErrListFull, errBanListFull, aboutList},
	{chat.ErrUnknownMode, errUnknownMode, aboutMode},
	{chat.ErrBadModeParam, errInvalidModeParam, aboutParam},
	{chat.ErrBadMetadata, numeric{}, nil}, // FAIL METADATA says it
	{chat.ErrMetadataFull, numeric{}, nil},
	{chat.ErrWatchFull, errMonListFull, aboutWatch},
	{chat.ErrUnknownMessage, numeric{}, nil}, // in failCodes, as the next five
	{chat.ErrNotYourMessage, numeric{}, nil},
	{chat.ErrMessageTooOld, numeric{}, nil},
	{chat.ErrChannelRenamed, numeric{}, nil},
	{chat.ErrChannelInUse, numeric{}, nil},
	{chat.ErrRenamedLately, numeric{}, nil},
	{chat.ErrQueueFull, rplTryAgain, aboutCommand},
	{chat.ErrUnreachable, errUnavailable, aboutPlace},
	{context.DeadlineExceeded, errUnavailable, aboutPlace},
	{context.Canceled, numeric{}, nil}, // the connection ends
}

// knockFailures come before failures where the request was a KNOCK.
var knockFailures = []failure{
	{chat.ErrAlreadyJoined, errKnockOnChannel, aboutChannel},
	{chat.ErrBanned, errCannotKnock, aboutChannel},
}

// A failCode is a row of the table of those errors for which the specification
// of a command has a standard reply, not a numeric.
type failCode struct {
	command string
	err     error
	code    string
	text    string
	params  func(subject) []string
}

const notFromThere = "You cannot delete messages from there"

var failCodes = []failCode{
	{"REDACT", chat.ErrBadTarget, "INVALID_TARGET", notFromThere, aboutPlace},
	{"REDACT", chat.ErrNotOnChannel, "INVALID_TARGET", notFromThere, aboutPlace},
	{"REDACT", chat.ErrNoSuchChannel, "INVALID_TARGET", notFromThere, aboutPlace},
	{"REDACT", chat.ErrNoSuchNick, "INVALID_TARGET", notFromThere, aboutPlace},
	{"REDACT", chat.ErrNoSuchNode, "INVALID_TARGET", notFromThere, aboutPlace},
	{"REDACT", chat.ErrNotYourMessage, "REDACT_FORBIDDEN", "You may not delete this message", aboutMessage},
	{"REDACT", chat.ErrMessageTooOld, "REDACT_WINDOW_EXPIRED", "The message is too old to be deleted", aboutOldMessage},
	{"JOIN", chat.ErrChannelRenamed, "CHANNEL_RENAMED", errLinkChannel.text, aboutNames},
	{"RENAME", chat.ErrBadChannel, "CANNOT_RENAME", "Bad channel name: # and 1 to 49 bytes without space or comma", aboutNames},
	{"RENAME", chat.ErrRenamedLately, "CANNOT_RENAME", "The channel was renamed a moment ago", aboutNames},
	{"RENAME", chat.ErrChannelInUse, "CHANNEL_NAME_IN_USE", "Another channel has that name", aboutNames},
	{"REDACT", chat.ErrUnknownMessage, "UNKNOWN_MSGID", "There is no such message, or it is too old", aboutMessage},
}

// fail answers a request with the numeric of its error. It is the one place
// where errors become lines.
func (c *conn) fail(err error, about subject) {
	c.unsure = c.unsure || errors.Is(err, context.DeadlineExceeded)
	for _, f := range failCodes {
		if f.command == about.command && errors.Is(err, f.err) {
			c.standard(replyFail, f.command, f.code, f.text, f.params(about)...)
			return
		}
	}
	rows := failures
	if about.command == "KNOCK" {
		rows = slices.Concat(knockFailures, failures)
	}
	for _, f := range rows {
		if !errors.Is(err, f.err) {
			continue
		}
		silenced, why := errors.AsType[*chat.SendError](err)
		switch {
		case f.num.code == "":
		case why:
			num := f.num
			if !strings.HasPrefix(about.target(), "#") {
				num = errCannotSendToUser
			}
			c.replyText(num, num.text+" ("+silenced.Mode+")", f.params(about)...)
		default:
			c.reply(f.num, f.params(about)...)
		}
		return
	}
	// An error without a row is a defect of who returned it; the user still
	// gets an answer.
	c.srv.log.Error("irc: an error without a numeric", "command", about.command, "error", err)
	if c.caps&capStandardReplies == 0 {
		c.reply(rplTryAgain, about.command)
		return
	}
	c.standard(replyFail, about.command, "INTERNAL_ERROR", "This did not work; the log of the node says why")
}

// display is the nick of the client for numerics: * before it has one.
func (c *conn) display() string {
	switch {
	case c.session != nil:
		return c.self.Nick
	case c.wanted.nick != "":
		return c.wanted.nick
	}
	return "*"
}

// reply writes a numeric with its own text, or none.
func (c *conn) reply(n numeric, params ...string) {
	c.emit("", c.srv.name, n.code, c.display(), params, n.text, n.text != "")
}

// replyText writes a numeric whose last parameter is text.
func (c *conn) replyText(n numeric, text string, params ...string) {
	c.emit("", c.srv.name, n.code, c.display(), params, text, true)
}
