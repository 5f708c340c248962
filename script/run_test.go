package script

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"
)

func runText(t *testing.T, server, text string) error {
	t.Helper()
	s, err := Parse("test.txt", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return Run(context.Background(), s, Options{Server: server, Timeout: 5 * time.Second, Dir: t.TempDir()})
}

const two = `
alice enters server with echo-message
bob enters server
alice > JOIN #c
alice < * 366 *
bob > JOIN #c
any order
  alice < :bob!* JOIN #c
  bob < :bob!* JOIN #c
  bob < * 366 *
end
`

func TestSessionsThatHold(t *testing.T) {
	for name, text := range map[string]string{
		"talk": two + `
			alice > PRIVMSG #c :hello there
			bob < :alice!u@h PRIVMSG #c :hello *{what}
			bob > PRIVMSG ${alice.nick} :you said ${what}
			alice < :*{nick}!* PRIVMSG alice :you said there
			alice > PRIVMSG ${nick} :right
			bob < * :right`,
		"absent": two + `
			bob > PART #c
			bob < * PART #c
			bob absent * PRIVMSG #c *
			alice > PRIVMSG #c :gone?
			alice < * :gone?
			bob fence`,
		"escapes": two + `
			alice > PRIVMSG #c :\xff \*a\* \$\\ \s\s
			bob < * :\xff \*a\* \$\\ \s\s`,
		"lines that are not expected are passed over": two + `
			alice > PRIVMSG #c :1
			alice > PRIVMSG #c :2
			alice > PRIVMSG #c :3
			bob < * :2
			bob < * :3`,
		"tags": two + `
			alice > TAGS
			alice < :fake NOTICE alice :with tags
			alice > TAGS
			alice < @time=*{time};* :fake NOTICE alice :with tags
			alice > PRIVMSG #c :${time}
			bob < * :2020`,
		"ping is answered": two + `
			alice > PINGME
			alice < * :pong are you there`,
		"race": two + `
			at once
			  alice > NICK zed
			  bob > NICK zed
			end
			either
			  alice < :alice!* NICK *zed
			  bob < * 433 * zed *
			  let winner = alice
			or
			  bob < :bob!* NICK *zed
			  alice < * 433 * zed *
			  let winner = bob
			end
			alice > PRIVMSG ${winner} :lost`,
		"nick follows": two + `
			alice > NICK other
			alice < :alice!* NICK *
			bob > PRIVMSG ${alice.nick} :x
			alice < :bob!* PRIVMSG other :x`,
		"asks": two + `
			alice asks PING a until * PONG *a`,
		"gone": two + `
			alice > QUIT
			alice < ERROR *
			alice gone`,
		"half closed": two + `
			alice half-closes
			alice gone`,
		"raw": two + `
			alice raw "PRIVMSG #c :in pie"
			alice raw "ces\r\nPRIVMSG #c :"
			alice raw "x" times 20
			alice raw "\r\n"
			bob < * :in pieces
			bob < * :xxxxxxxxxxxxxxxxxxxx`,
		"freeze": two + `
			bob freezes
			alice > PRIVMSG #c :1
			alice fence
			bob thaws
			bob < * :1`,
		"idle": two + `
			idle 20 to server
			alice fence`,
		"timeouts": two + `
			timeout 2s
			within 3s alice fence
			let x = a b
			alice > PRIVMSG #c :${x}
			bob < * :a b`,
		"burst": two + `
			carol enters server
			alice bursts 100 to #c "alice %d." every 1ms
			bob bursts 100 to #c "bob %d." every 1ms
			carol bursts 10 to #c "carol %d" every 1ms
			during bursts every 10ms
			  carol fence
			end
			everyone on #c has each once in one order`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := runText(t, newFakeServer(t), text); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestSessionsThatFail(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"missing line": {two + "within 50ms alice < * never *",
			[]string{"test.txt:12: within 50ms alice < * never *", "not within 50ms", "last lines that alice received:", ":bob!u@h JOIN #c"}},
		"order": {two + `
			alice > PRIVMSG #c :1
			alice > PRIVMSG #c :2
			bob < * :2
			within 50ms bob < * :1`, []string{"bob < * :1"}},
		"any order needs one line for each": {two + `
			alice > PRIVMSG #c :1
			within 50ms any order
			  bob < * :1
			  bob < * :1
			end`, []string{"not within", "bob < * :1"}},
		"absent": {two + `
			bob absent * PRIVMSG #c *
			alice > PRIVMSG #c :not gone
			alice < * :not gone
			bob fence`, []string{"must be absent", ":not gone"}},
		"absent before an expected line": {two + `
			alice > PRIVMSG #c :1
			alice > PRIVMSG #c :2
			bob absent * :1
			bob < * :2`, []string{"must be absent", "#c :1"}},
		"either": {two + `
			within 50ms either
			  alice < *a*never
			or
			  bob < *b*never
			end`, []string{"way 1", "way 2", "*b*never"}},
		"closed": {two + `
			alice > QUIT
			alice < * after`, []string{"connection of alice ended", "* after"}},
		"not gone":       {two + "within 50ms alice gone", []string{"end of the connection"}},
		"asks":           {two + "within 50ms alice asks PING a until * 999 *", []string{"not within 50ms, asked ", "alice < * 999 *"}},
		"no variable":    {two + "alice > ${nothing}", []string{"test.txt:12", "${nothing} has no value"}},
		"nick in use":    {two + "carol enters server as bob", []string{"not let in", "433"}},
		"no server":      {"a enters 127.0.0.1:1", []string{"test.txt:1", "connecting a"}},
		"foreign runs":   {"a runs version", []string{"test.txt:1", "runs against the server"}},
		"foreign start":  {"start n1", []string{"test.txt:1", "runs against the server", "leave out -server"}},
		"idle":           {two + "idle 3 to server\nwithin 50ms idle gone", []string{"3 of 3 idle connections"}},
		"foreign config": {"config n1\nend", []string{"test.txt:1", "runs against the server"}},
		"lost": {two + `
			alice > DROP
			alice bursts 10 to #c "x %d" every 1ms
			within 100ms everyone on #c has each once in order`, []string{"bob received of alice's 10: lost 1 [1], more than once 0, out of order 0"}},
		"twice": {two + `
			alice > TWICE
			alice bursts 10 to #c "x %d" every 1ms
			everyone on #c has each once in order`, []string{"bob received of alice's 10: lost 0, more than once 1 [1], out of order 0"}},
		"disorder": {two + `
			alice > SWAP
			alice bursts 10 to #c "x %d" every 1ms
			everyone on #c has each once in order`, []string{"lost 0, more than once 0, out of order 1"}},
		"nobody": {two + `
			alice bursts 1 to #d "x %d" every 1ms
			everyone on #d has each once in order`, []string{"0 actors"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := runText(t, newFakeServer(t), c.text)
			if err == nil {
				t.Fatal("the session held")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in:\n%v", want, err)
				}
			}
		})
	}
}

func TestTLS(t *testing.T) {
	server, fingerprint := newFakeTLSServer(t)
	for text, want := range map[string]string{
		"a enters server over TLS\na > PINGME\na < * :pong *\na half-closes\na gone": "",
		"a enters server over TLS pinned " + fingerprint + " as b":                   "",
		"a connects to server over TLS pinned 00:11":                                 "pinned is 00:11",
		"within 2s a enters server":                                                  "a was not let in",
	} {
		err := runText(t, server, text)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	if err := runText(t, newFakeServer(t), "a enters server over TLS"); err == nil || !strings.Contains(err.Error(), "TLS with 127.0.0.1:") {
		t.Errorf("TLS with a plain server: %v", err)
	}
}

func TestOrderComplaints(t *testing.T) {
	a, b := &actor{name: "a"}, &actor{name: "b"}
	same := []*tally{{actor: a, order: []string{"x 1", "y 1", "x 2"}}, {actor: b, order: []string{"x 1", "x 2"}}}
	if got := orderComplaints(same); got != nil {
		t.Errorf("equal orders: %v", got)
	}
	other := []*tally{{actor: a, order: []string{"x 1", "y 1"}}, {actor: b, order: []string{"y 1", "x 1"}}}
	if got := orderComplaints(other); len(got) != 1 || !strings.Contains(got[0], `b received "y 1" before "x 1"`) {
		t.Errorf("different orders: %v", got)
	}
}

func TestSubcommand(t *testing.T) {
	dir := t.TempDir()
	good, bad := dir+"/good.txt", dir+"/bad.txt"
	for name, text := range map[string]string{good: two, bad: "alice enters server\nalice < x"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	server := newFakeServer(t)
	for _, c := range []struct {
		args   []string
		status int
		want   string
	}{
		{nil, 2, "usage:"},
		{[]string{"-nonsense"}, 2, "usage:"},
		{[]string{"-server", server, good}, 0, "ok   " + good},
		{[]string{"-server", server, "-timeout", "50ms", bad}, 1, "FAIL " + bad},
		{[]string{"-server", server, "-v", dir + "/none"}, 1, "opening the session"},
	} {
		var out strings.Builder
		if got := Main(c.args, &out, &out); got != c.status || !strings.Contains(out.String(), c.want) {
			t.Errorf("%v: status %d, want %d with %q in:\n%s", c.args, got, c.status, c.want, out.String())
		}
	}
}
