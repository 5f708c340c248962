package ircd

import (
	"cmp"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/bcrypt"

	"ircbridge/chat"
)

// Oper is a table [[irc.oper]]: an operator of this server. What he may do ends at
// this node; those of other nodes have operators of their own.
type Oper struct {
	// Name is what he gives to OPER first: 1 to 30 letters, digits, - _ and dots. It
	// need not be a nick.
	Name string `toml:"name"`
	// Password is the bcrypt hash of his password, as HashPassword makes it. Default:
	// "", he needs none beside his certificate.
	Password string `toml:"password"`
	// Certificate is the SHA-256 fingerprint of the certificate that his client must show
	// when it connects with TLS, with or without colons. Default: "" (any, or none).
	Certificate string `toml:"certificate"`
}

const (
	maxOpers    = 100
	maxPassword = 72 // bytes that bcrypt looks at
	maxHashCost = 16 // above it one OPER would take seconds
	operTries   = 3  // wrong OPERs of one address at once, and then one more each
	operPause   = 20 * time.Second
)

// HashPassword makes what stands in an operator's table in place of his password.
func HashPassword(password string) (string, error) {
	if password == "" || len(password) > maxPassword {
		return "", fmt.Errorf("a password has 1 to %d bytes", maxPassword)
	}
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.DefaultCost)
	return string(hash), err
}

func (c *Config) checkOpers() error {
	if len(c.Opers) > maxOpers {
		return fmt.Errorf("[[irc.oper]]: there are more than %d: leave some out", maxOpers)
	}
	for i, o := range c.Opers {
		switch cost, err := bcrypt.Cost([]byte(o.Password)); {
		case !validToken(o.Name, "-_."):
			return fmt.Errorf("[[irc.oper]] name = %q: a name has 1 to 30 letters, digits, - _ and dots: choose another", o.Name)
		case slices.ContainsFunc(c.Opers[:i], func(other Oper) bool { return other.Name == o.Name }):
			return fmt.Errorf("[[irc.oper]] name = %q stands twice: choose another", o.Name)
		case o.Password == "" && o.Certificate == "":
			return fmt.Errorf("[[irc.oper]] %s: needs a password or a certificate: \"ircbridge hash\" makes what stands for a password", o.Name)
		case o.Password != "" && err != nil:
			return fmt.Errorf("[[irc.oper]] %s: password: this is no bcrypt hash: \"ircbridge hash\" makes one of a password", o.Name)
		case cost > maxHashCost:
			return fmt.Errorf("[[irc.oper]] %s: password: a bcrypt hash of cost %d takes too long to compare; at most %d: \"ircbridge hash\" makes another", o.Name, cost, maxHashCost)
		case o.Certificate != "" && len(plainFingerprint(o.Certificate)) != 64:
			return fmt.Errorf("[[irc.oper]] %s: certificate = %q: a SHA-256 fingerprint has 64 hexadecimal digits, with or without colons", o.Name, o.Certificate)
		case o.Certificate != "" && len(c.TLSListen) == 0: // by WebSocket nobody is asked for one
			return fmt.Errorf("[[irc.oper]] %s: certificate: there is no address for TLS: name one with tls_listen, such as [\"0.0.0.0:6697\"]", o.Name)
		}
	}
	return nil
}

// plainFingerprint is a fingerprint in small letters without colons, or "" if it is
// none.
func plainFingerprint(text string) string {
	text = strings.ToLower(strings.ReplaceAll(text, ":", ""))
	if strings.Trim(text, "0123456789abcdef") != "" {
		return ""
	}
	return text
}

// clientCertificate is the fingerprint of the certificate that the client has shown,
// and whose key it has; "" for none.
func (c *conn) clientCertificate() string {
	if c.nc.secure == nil {
		return ""
	}
	shown := c.nc.secure.ConnectionState().PeerCertificates
	if len(shown) == 0 {
		return ""
	}
	return plainFingerprint(fingerprint(&tls.Certificate{Certificate: [][]byte{shown[0].Raw}}))
}

// is reports whether this is who gave a password and showed a certificate. The
// comparison of the hash takes time, which does not depend on the password.
func (o *Oper) is(password, certificate string) bool {
	right := true
	if o.Certificate != "" {
		right = subtle.ConstantTimeCompare([]byte(plainFingerprint(o.Certificate)), []byte(certificate)) == 1
	}
	if o.Password != "" {
		right = bcrypt.CompareHashAndPassword([]byte(o.Password), []byte(password)) == nil && right
	}
	return right
}

// find is the operator who gave a name, a password and a certificate, or nil. For a name
// that nobody has a hash is compared too: how long it takes does not tell which
// names there are.
func (s *settings) find(name, password, certificate string) *Oper {
	for i := range s.Opers {
		if o := &s.Opers[i]; o.Name == name {
			if !o.is(password, certificate) {
				return nil
			}
			return o
		}
	}
	first := slices.MaxFunc(s.Opers, func(a, b Oper) int { return cmp.Compare(len(a.Password), len(b.Password)) })
	_ = first.is(password, certificate)
	return nil
}

// operator is a client who is operator, by which table.
type operator struct {
	conn *conn
	oper Oper
}

// cmdOper makes the client an operator of this server (RFC 2812, section 3.1.4).
func cmdOper(c *conn, m *message) error {
	live := c.srv.live.Load()
	name, password := m.params[0], m.param(1)
	if len(live.Opers) == 0 {
		c.reply(errNoOperHost)
		return nil
	}
	if wait := c.srv.operTries.try(limitKey(c.nc)); wait > 0 {
		c.reply(rplTryAgain, "OPER")
		return nil
	}
	certificate := c.clientCertificate()
	var found *Oper
	c.yield(func() {
		c.srv.hashing.Lock() // one at a time: clients do not get all processors so
		defer c.srv.hashing.Unlock()
		found = live.find(name, password, certificate)
	})
	if found == nil {
		c.srv.log.Warn("irc: OPER refused", "name", name, "nick", c.self.Nick, "from", c.origin())
		c.srv.notice("Failed OPER as %s by %s (%s@%s)", name, c.self.Nick, c.self.Username, c.origin())
		c.reply(errPasswdMismatch)
		return nil
	}
	c.srv.operTries.giveBack(limitKey(c.nc))
	if !c.srv.appoint(c, *found) { // the configuration has changed meanwhile
		c.reply(errPasswdMismatch)
		return nil
	}
	c.srv.log.Info("irc: OPER", "name", name, "nick", c.self.Nick, "from", c.origin())
	c.srv.notice("%s (%s@%s) is now an operator (%s)", c.self.Nick, c.self.Username, c.origin(), name)
	c.setModes(c.modes() | modeOperator | modeServerNotices | modeWallops)
	c.reply(rplYoureOper)
	return nil
}

// appoint makes a client an operator, unless his table is there no more.
func (s *Server) appoint(c *conn, oper Oper) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(s.live.Load().Opers, oper) {
		return false
	}
	s.operators[c.self.Session] = operator{c, oper}
	return true
}

// retire ends that a client is an operator.
func (s *Server) retire(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.operators, c.self.Session)
}

// isOperator reports whether somebody is an operator of this server.
func (s *Server) isOperator(session chat.SessionID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, is := s.operators[session]
	return is
}

// retireStrangers takes the mode from operators whose table has gone or changed.
func (s *Server) retireStrangers(live *settings) {
	s.mu.Lock()
	var gone []*conn
	for session, o := range s.operators {
		if !slices.Contains(live.Opers, o.oper) {
			delete(s.operators, session)
			gone = append(gone, o.conn)
		}
	}
	s.mu.Unlock()
	for _, c := range gone {
		c.post(note{change: func(c *conn) { c.setModes(c.modes() &^ modeOperator) }})
	}
}

// mayOperate reports whether the client is an operator, and answers if not.
func (c *conn) mayOperate() bool {
	if c.modes()&modeOperator != 0 && c.srv.isOperator(c.self.Session) {
		return true
	}
	c.reply(errNoPrivileges)
	return false
}

// errByOperator is why a server ends that DIE was sent to.
var errByOperator = errors.New("node stopped by its operator")
