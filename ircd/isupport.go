package ircd

import (
	"fmt"

	"ircbridge/chat"
)

const (
	maxModes     = 6  // mode changes with a parameter in one MODE
	maxMsgTarget = 4  // of PRIVMSG and NOTICE
	maxKicks     = 10 // users of one KICK
	maxNames     = 10 // channels of one NAMES
	maxPeople    = 20 // nicks of ISON and USERHOST
	maxWhowas    = 4  // nicks of WHOWAS
)

// isupportTokens are the tokens of 005: only what is true.
func isupportTokens(cfg *Config) []string {
	return []string{
		"NETWORK=" + cfg.Network,
		"CASEMAPPING=ascii",
		"CHANTYPES=#",
		"CHANMODES=" + chat.ListModes + ",k,l," + chat.FlagModes,
		"PREFIX=(" + chat.StatusModes + ")" + chat.StatusSigns,
		"STATUSMSG=" + chat.StatusSigns,
		fmt.Sprintf("MODES=%d", maxModes),
		fmt.Sprintf("MAXLIST=b:%d,e:%d,I:%d", chat.MaxList, chat.MaxList, chat.MaxList),
		"EXCEPTS=e",
		"INVEX=I",
		"EXTBAN=," + chat.ExtendedBans,
		"ACCOUNTEXTBAN=account,a",
		fmt.Sprintf("CHANLIMIT=#:%d", cfg.Limits.Channels),
		fmt.Sprintf("NICKLEN=%d", chat.MaxNick),
		fmt.Sprintf("NAMELEN=%d", chat.MaxRealname),
		fmt.Sprintf("CHANNELLEN=%d", chat.MaxChannel),
		fmt.Sprintf("TOPICLEN=%d", chat.MaxTopic),
		fmt.Sprintf("KICKLEN=%d", chat.MaxReason),
		fmt.Sprintf("AWAYLEN=%d", chat.MaxAway),
		fmt.Sprintf("USERLEN=%d", chat.MaxUsername),
		fmt.Sprintf("HOSTLEN=%d", chat.MaxHost),
		fmt.Sprintf("LINELEN=%d", maxBody+2),
		fmt.Sprintf("TARGMAX=JOIN:,PART:,KICK:%d,NAMES:%d,PRIVMSG:%d,NOTICE:%d,TAGMSG:%d,WHOIS:1,WHOWAS:%d", maxKicks, maxNames, maxMsgTarget, maxMsgTarget, maxMsgTarget, maxWhowas),
		fmt.Sprintf("MAXTARGETS=%d", maxMsgTarget),
		"CLIENTTAGDENY=", // none is denied
		"BOT=B",
		fmt.Sprintf("MONITOR=%d", chat.MaxWatched),
		"ELIST=CMNTU",
		"KNOCK",
		"SAFELIST",
		"SAFERATE",
		"UTF8ONLY",
		"WHOX",
	}
}

// tokensPerLine: 15 parameters in all, less the nick and the text.
const tokensPerLine = 13

// cmdISupport answers who asks for the tokens, perhaps before he has registered (IRCv3,
// "extended-isupport").
func cmdISupport(c *conn, _ *message) error {
	c.sendISupport()
	return nil
}

// sendISupport shows the tokens, in a batch to who knows that one.
func (c *conn) sendISupport() {
	const need = capBatch | capExtendedISupport
	if c.caps&need == need {
		c.nested("draft/isupport", c.sendTokens)
		return
	}
	c.sendTokens()
}

func (c *conn) sendTokens() {
	tokens := c.cfg.isupport
	for len(tokens) > 0 {
		n := min(len(tokens), tokensPerLine)
		c.reply(rplISupport, tokens[:n]...)
		tokens = tokens[n:]
	}
}
