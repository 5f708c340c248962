package ircd

import (
	"context"
	"crypto/tls"
	"errors"
	"strings"
	"testing"
	"time"

	"ircbridge/chat"
)

func TestHashPassword(t *testing.T) {
	hash, err := HashPassword("open sesame")
	if err != nil {
		t.Fatal(err)
	}
	cfg := defaultConfig()
	cfg.Opers = []Oper{{Name: "root", Password: hash}}
	if err := cfg.checkOpers(); err != nil {
		t.Error(err)
	}
	live := newSettings(cfg)
	if live.find("root", "open sesame", "") == nil {
		t.Error("the password is not known again")
	}
	if live.find("root", "open sesam", "") != nil || live.find("root", "", "") != nil || live.find("other", "open sesame", "") != nil {
		t.Error("another one is taken for it")
	}
	for _, bad := range []string{"", strings.Repeat("x", maxPassword+1)} {
		if _, err := HashPassword(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

// TestOperByCertificate has operators who are known by the certificate of their client, alone or
// with a password; who shows another one, or none, is not let through.
func TestOperByCertificate(t *testing.T) {
	own, err := selfSigned("client.test", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	other, err := selfSigned("client.test", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	s, _ := serving(t, onlyTLS(func(c *Config) {
		c.Opers = []Oper{
			{Name: "alone", Certificate: fingerprint(own)},
			{Name: "both", Certificate: strings.ToLower(strings.ReplaceAll(fingerprint(own), ":", "")), Password: sesame},
			{Name: "pass", Password: sesame},
		}
	}))
	for nick, test := range map[string]struct {
		shown *tls.Certificate
		oper  string
		want  string
	}{
		"right":    {own, "alone", " 381 "},
		"both":     {own, "both sesame", " 381 "},
		"half":     {own, "both wrong", " 464 "},
		"other":    {other, "alone", " 464 "},
		"otherpw":  {other, "both sesame", " 464 "},
		"none":     {nil, "alone", " 464 "},
		"nonepass": {nil, "pass sesame", " 381 "},
	} {
		t.Run(nick, func(t *testing.T) {
			s.operTries = tries{burst: operTries, pause: operPause}
			config := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"irc"}}
			if test.shown != nil {
				config.Certificates = []tls.Certificate{*test.shown}
			}
			c := dialTLSWith(t, s, config)
			c.register(nick)
			c.send("OPER " + test.oper)
			if got := c.until(" " + nick + " "); !strings.Contains(got, test.want) && !strings.Contains(c.until(" "+nick+" "), test.want) {
				t.Error(got)
			}
		})
	}
}

// TestClientsAreAskedForCertificatesOnlyIfAnOperatorHasOne: browsers and some clients ask their
// users for one otherwise.
func TestClientsAreAskedForCertificatesOnlyIfAnOperatorHasOne(t *testing.T) {
	for _, certificate := range []string{"", strings.Repeat("ab", 32)} {
		s, _ := serving(t, onlyTLS(func(c *Config) {
			c.Opers = []Oper{{Name: "root", Password: sesame, Certificate: certificate}}
		}))
		asked := false
		c := dialTLSWith(t, s, &tls.Config{InsecureSkipVerify: true, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			asked = true
			return &tls.Certificate{}, nil
		}})
		c.register("al")
		if asked != (certificate != "") {
			t.Errorf("certificate %q: asked is %v", certificate, asked)
		}
	}
}

func TestDieEndsServe(t *testing.T) {
	s := listening(t, func(c *Config) { c.Opers = []Oper{{Name: "root", Password: sesame}} })
	done := make(chan error, 1)
	go func() { done <- s.Serve(context.Background()) }()
	al, bob := dial(t, s), dial(t, s)
	al.register("al")
	bob.register("bob")
	al.send("OPER root sesame", "DIE")
	bob.until("ERROR :Closing link (node stopped by its operator)")
	select {
	case err := <-done:
		if !errors.Is(err, chat.ErrExit) {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("Serve does not return")
	}
}

func TestTries(t *testing.T) {
	limit := tries{burst: 2, pause: time.Hour}
	for range 2 {
		if wait := limit.try("a"); wait != 0 {
			t.Error("not let through", wait)
		}
	}
	if limit.try("a") == 0 || limit.try("b") != 0 {
		t.Error("addresses are not told apart")
	}
	limit.giveBack("a")
	if limit.try("a") != 0 {
		t.Error("what was given back is lost")
	}
	limit.giveBack("never seen")
	for i := range 3 * maxTries {
		limit.try(strings.Repeat("x", i%7) + time.Duration(i).String())
		if len(limit.from) > maxTries {
			t.Fatal("it remembers without end")
		}
	}
}
