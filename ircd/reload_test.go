package ircd

import (
	"crypto/tls"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"ircbridge/chat"
	"ircbridge/chat/chattest"
)

// A reload holds for everybody, or for who comes after it, and nobody is sent
// away for it.
func TestReload(t *testing.T) {
	s, _ := serving(t, func(c *Config) { c.MOTD = "" })
	if _, ok := chat.Frontend(s).(chat.Reloader); !ok {
		t.Fatal("no Reloader")
	}
	old := dial(t, s).register("old")
	base := func(c *Config) { c.Listen = []string{"127.0.0.1:0"} }
	reload := func(change func(*Config), later ...string) {
		t.Helper()
		got, err := s.Reload(decoded(func(c *Config) {
			base(c)
			change(c)
		}))
		if err != nil || !slices.Equal(got, later) {
			t.Fatalf("later %v, %v; want %v", got, err, later)
		}
	}
	ask := func(c *client, line, want string) {
		t.Helper()
		c.send(line)
		c.until(want)
	}
	reload(func(c *Config) {
		c.MOTD, c.Admin, c.Password = "news", []string{"me"}, "secret"
		c.Limits.Channels, c.Limits.NickChanges = 1, 1
	})
	ask(old, "MOTD", " 372 old :- news")
	ask(old, "ADMIN", " 257 old :me")
	// What was announced to a client holds as long as it stays.
	ask(old, "VERSION", " CHANLIMIT=#:100 ")
	ask(old, "JOIN #a,#b", " 366 old #b ")
	without := dial(t, s)
	without.send("NICK x", "USER x 0 * :x")
	without.until(" 464 ")
	fresh := dial(t, s)
	fresh.send("PASS secret", "NICK fresh", "USER x 0 * :x")
	fresh.until(" CHANLIMIT=#:1 ")
	fresh.until(" 376 ")
	ask(fresh, "JOIN #a,#b", " 405 fresh #b ")

	// One fewer than there are; more than at the start needs a restart.
	reload(func(c *Config) { c.Limits.MaxConnections = 2 })
	dial(t, s).until("ERROR :Too many connections")
	old.send("PING still")
	old.until("PONG")
	reload(func(c *Config) { c.Limits.MaxConnections = 3000 }, "limits.max_connections")

	reload(func(c *Config) {
		c.Listen, c.TLSListen, c.ServerName, c.Network = nil, []string{"127.0.0.1:0"}, "other.name", "other"
		c.WebsocketListen, c.WebsocketTLSListen, c.Proxied = []string{"127.0.0.1:0"}, []string{"127.0.0.1:0"}, []string{"127.0.0.1:0"}
		c.MOTD = "taken all the same"
	}, "listen", "tls_listen", "websocket_listen", "websocket_tls_listen", "proxied", "server_name", "network")
	ask(old, "MOTD", "taken all the same")
	if s.name == "other.name" || s.live.Load().Network != "ircbridge" || len(s.Addrs()) != 1 {
		t.Error("what needs a restart has changed")
	}
	reload(func(*Config) {}) // and is not named when it is as it was
}

// With an error nothing has changed.
func TestReloadOfAMistakeChangesNothing(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem")
	sum := writeCertificate(t, certFile, keyFile, time.Unix(1000, 0))
	start := func(c *Config) {
		c.Listen, c.TLSListen = []string{"0.0.0.0:0"}, []string{"127.0.0.1:0"}
		c.Password, c.MOTD = "x", "old"
		c.TLSCert, c.TLSKey = certFile, keyFile
	}
	s, _ := serving(t, start)
	for name, test := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"limits":      {func(c *Config) { c.Limits.Channels = 0 }, "channels"},
		"certificate": {func(c *Config) { c.TLSCert = filepath.Join(dir, "none.pem") }, "none.pem"},
		"open":        {func(c *Config) { c.Password = "" }, "insecure"},
		// The new addresses are closed, but those of the start stay.
		"still open": {func(c *Config) { c.Password, c.Listen = "", nil }, "restart"},
	} {
		t.Run(name, func(t *testing.T) {
			later, err := s.Reload(decoded(func(c *Config) {
				start(c)
				c.MOTD = "new"
				test.change(c)
			}))
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") || later != nil {
				t.Errorf("%v, %v: does not say %q", later, err, test.want)
			}
		})
	}
	broken := errors.New("config.toml:3: unknown field")
	if _, err := s.Reload(func(any) error { return broken }); !errors.Is(err, broken) {
		t.Error(err)
	}
	if s.live.Load().MOTD != "old" || fingerprint(s.certs.current()) != sum {
		t.Error("something has changed")
	}
}

func TestReloadOfCertificates(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem")
	users := writeCertificate(t, certFile, keyFile, time.Unix(1000, 0))
	s, _ := serving(t, onlyTLS(nil))
	_, own := dialTLS(t, s)
	reload := func(change func(*Config)) {
		t.Helper()
		if later, err := s.Reload(decoded(onlyTLS(change))); later != nil || err != nil {
			t.Fatal(later, err)
		}
	}
	reload(func(c *Config) { c.TLSCert, c.TLSKey = certFile, keyFile })
	if _, sum := dialTLS(t, s); sum != users {
		t.Error("the user's certificate is not shown")
	}
	again := writeCertificate(t, certFile, keyFile, time.Unix(2000, 0))
	if _, sum := dialTLS(t, s); sum != again {
		t.Error("its files are not looked at")
	}
	reload(nil)
	if _, sum := dialTLS(t, s); sum == again || sum == own {
		t.Error("the node's own one, made anew without a folder, is not shown")
	}
}

// listenOwn makes a server with TLS and a folder, as of a certain day, and gives
// its fingerprint and hints.
func listenOwn(t *testing.T, dir string, at time.Time) (sum, hints string, err error) {
	t.Helper()
	f, err := New(chat.Setup{Service: chattest.NewService(chattest.Options{}), DataDir: dir, Decode: decoded(onlyTLS(nil))})
	if err != nil {
		t.Fatal(err)
	}
	s := f.(*Server)
	s.now = func() time.Time { return at }
	defer s.closeListeners()
	if err := s.Listen(); err != nil {
		return "", "", err
	}
	return fingerprint(s.certs.current()), strings.Join(s.Hints(), "\n"), nil
}

func TestTheNodesOwnCertificateStays(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "irc") // made on demand
	start := time.Now()
	must := func(at time.Time, want string) string {
		t.Helper()
		sum, hints, err := listenOwn(t, dir, at)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(hints, want+" "+filepath.Join(dir, ownFile)) || !strings.Contains(hints, sum) {
			t.Errorf("%s\nlacks %q", hints, want)
		}
		return sum
	}
	first := must(start, "(new, in")
	if must(start.AddDate(9, 0, 0), "(in") != first {
		t.Error("it has changed")
	}
	second := must(start.AddDate(ownYears, 0, -29), "near its end, in")
	if second == first || must(start.AddDate(ownYears, 0, 0), "(in") != second {
		t.Error("the new one is not kept")
	}
	for name, mode := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, ownFile): 0o600} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != mode && runtime.GOOS != "windows" {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, ownFile))
	if err != nil {
		t.Fatal(err)
	}
	for name, broken := range map[string][]byte{"empty": nil, "garbage": []byte("x"), "half": text[:len(text)/2]} {
		if err := os.WriteFile(filepath.Join(dir, ownFile), broken, 0o600); err != nil {
			t.Fatal(err)
		}
		if must(start, "could not be used, in") == second {
			t.Error(name)
		}
	}
	if files, _ := os.ReadDir(dir); len(files) != 1 {
		t.Errorf("more is left there: %v", files)
	}
	if _, err := tls.LoadX509KeyPair(filepath.Join(dir, ownFile), filepath.Join(dir, ownFile)); err != nil {
		t.Error("it cannot be named with tls_cert and tls_key:", err)
	}
}

func TestACertificateThatCannotBeKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, err := listenOwn(t, dir, time.Now())
	if err == nil || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "tls_cert") || strings.Contains(err.Error(), "\n") {
		t.Errorf("%v: one line, with the remedy", err)
	}
}
