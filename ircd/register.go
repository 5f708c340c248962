package ircd

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"ircbridge/chat"
)

// registration is what a client says before it is let in.
type registration struct {
	nick     string
	username string
	realname string
	hasUser  bool
	pass     string
	away     string        // the away text to come in with
	meta     chat.Metadata // and the metadata
}

func cmdPass(c *conn, m *message) error {
	c.wanted.pass = m.params[0]
	return nil
}

func cmdUser(c *conn, m *message) error {
	if c.wanted.hasUser {
		c.reply(errAlreadyReg)
		return nil
	}
	c.wanted.username = cleanUsername(m.params[0])
	c.wanted.realname = cutString(m.params[3], chat.MaxRealname)
	c.wanted.hasUser = true
	return c.tryRegister()
}

// cleanUsername keeps what can stand between ! and @ of a mask.
func cleanUsername(name string) string {
	name = strings.Map(func(r rune) rune {
		if r <= ' ' || 0x7f <= r && r <= 0x9f || strings.ContainsRune("!@:*?,", r) {
			return -1
		}
		return r
	}, name)
	if name == "" {
		return "user"
	}
	return cutString(name, chat.MaxUsername)
}

func cmdNick(c *conn, m *message) error {
	nick := m.param(0)
	switch {
	case nick == "":
		c.reply(errNoNicknameGiven)
	case !chat.ValidNick(nick):
		c.fail(chat.ErrBadNick, subject{command: "NICK", nick: nick})
	case c.session != nil:
		c.changeNick(nick)
	default:
		c.wanted.nick = nick
		return c.tryRegister()
	}
	return nil
}

func (c *conn) changeNick(nick string) {
	if nick == c.self.Nick {
		return
	}
	if wait := c.nickPause(); wait > 0 {
		c.replyText(errNickTooFast, fmt.Sprintf("Nick change too fast: wait %d seconds", int(math.Ceil(wait.Seconds()))), nick)
		return
	}
	c.wantNick = nick
	err := c.claim(nick, func() error {
		ctx, cancel := c.timeout()
		defer cancel()
		return c.session.SetNick(ctx, nick)
	})
	if err != nil {
		c.fail(err, subject{command: "NICK", nick: nick})
		return
	}
	// Who had it before may have changed his own: a client that is told of that afterwards would
	// take it for a change of its own.
	c.catchUp(effected)
	c.showNick(nick)
}

// nickPause counts a nick change, and says how long the client must wait before
// it, if it must.
func (c *conn) nickPause() time.Duration {
	limit := c.cfg.Limits.NickChanges
	if limit == 0 {
		return 0
	}
	if c.nicks == nil {
		c.nicks = newBucket(float64(limit)/time.Minute.Seconds(), limit)
	}
	return c.nicks.try()
}

// showNick tells the client his new nick.
func (c *conn) showNick(nick string) {
	mask := c.self.Mask()
	c.srv.enter(c, c.self.Nick, nick)
	c.self.Nick = nick
	c.write(c.ownTags(), mask, "NICK", nil, nick)
}

// tryRegister lets the client in when all that it takes is there.
func (c *conn) tryRegister() error {
	want := c.wanted
	if c.session != nil || want.nick == "" || !want.hasUser || c.capOpen {
		return nil
	}
	if pass := c.srv.live.Load().Password; pass != "" && subtle.ConstantTimeCompare([]byte(pass), []byte(want.pass)) != 1 {
		c.reply(errPasswdMismatch)
		return cutOff("Password incorrect")
	}
	var session chat.Session
	err := c.claim(want.nick, func() (err error) {
		ctx, cancel := c.timeout()
		defer cancel()
		session, err = c.srv.service.Open(ctx, chat.User{Nick: want.nick, Username: want.username, Realname: want.realname, Secure: c.nc.secure != nil, Meta: want.meta})
		return err
	})
	switch {
	case errors.Is(err, chat.ErrNickInUse), errors.Is(err, chat.ErrBadNick):
		nick := want.nick
		want.nick = ""
		c.fail(err, subject{command: "NICK", nick: nick})
		return nil
	case err != nil:
		return closed(openReason(err))
	}
	c.session, c.wanted = session, nil
	if want.away != "" {
		_ = session.SetAway(c.ctx, want.away) // fails only with the session, which tells of it
	}
	c.self = session.Self()
	if c.self.Secure {
		c.umodes.Store(uint32(modeSecure))
	}
	c.srv.enter(c, "", c.self.Nick)
	c.srv.registered(1)
	c.events = c.takerOf(session)
	c.welcome()
	c.events.Notify(c.stir)
	c.srv.notice("Client connecting: %s (%s@%s)", c.self.Nick, c.self.Username, c.origin())
	return nil
}

func openReason(err error) string {
	if errors.Is(err, chat.ErrStopped) {
		return "node stopped"
	}
	return "The network does not let you in: " + err.Error()
}

// welcome is the burst after registration, exactly in the order that clients
// expect.
func (c *conn) welcome() {
	s := c.srv
	c.replyText(rplWelcome, fmt.Sprintf("Welcome to the %s network, %s", s.cfg.Network, c.self.Mask()))
	c.replyText(rplYourHost, fmt.Sprintf("Your host is %s, running version %s", s.name, s.version))
	c.replyText(rplCreated, "This server was started "+s.service.Node().Started.UTC().Format("2006-01-02 15:04:05 UTC"))
	c.reply(rplMyInfo, s.name, s.version, userModeLetters(^userModes(0)), sorted(channelModes), sorted(chat.StatusModes+chat.ListModes+"kl"))
	c.sendISupport()
	c.sendLusers()
	c.welcomeMetadata()
	c.sendMOTD()
}

// timeout is the context of one command.
func (c *conn) timeout() (context.Context, context.CancelFunc) {
	return c.asking.within(commandTimeout)
}

func cmdPing(c *conn, m *message) error {
	// What was sent before has been answered: the dispatcher waited for it.
	c.write("", c.srv.name, "PONG", []string{c.srv.name}, m.params[0])
	return nil
}

func cmdPong(*conn, *message) error { return nil }

func cmdQuit(_ *conn, m *message) error {
	reason := "Quit"
	if text := m.param(0); text != "" {
		// With a word of ours in front, nobody can pass for a netsplit.
		reason += ": " + cutString(text, chat.MaxReason-len("Quit: "))
	}
	return &closing{client: reason, others: reason, final: true}
}
