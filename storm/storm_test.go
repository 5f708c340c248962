package storm

import (
	"net"
	"reflect"
	"strings"
	"sync"
	"testing"
)

// TestJudge shows lines to a client who is c0, is on #on, and has asked with the labels l1 and l2.
func TestJudge(t *testing.T) {
	for name, test := range map[string]struct {
		lines string
		want  string // of the complaint; "" for none
	}{
		"what may be": {"@label=l1 :s ACK\n:x!y@z PRIVMSG #ON :hi\n:x!y@z PRIVMSG @#on :hi\n:c0!y@z PRIVMSG #off :hi\n:x!y@z PRIVMSG c0 :hi\nNOTICE c0 :hi", ""},
		"a batch":     {"@label=l1 :s BATCH +1 labeled-response\n@batch=1 :s BATCH +2 inner\n@batch=2 :s 005 c0 X\n@batch=1 :s BATCH -2\n@batch=1 :s 366 c0\n:s BATCH -1", ""},
		"elsewhere":   {":x!y@z PRIVMSG #off :hi", "not on #off"},
		"parted":      {":c0!y@z PART #on\n:x!y@z TOPIC #on :t", "not on #on"},
		"kicked":      {":x!y@z KICK #ON C0 :out\n:x!y@z JOIN #on", "not on #on"},
		"came":        {":c0!y@z JOIN #new\n:x!y@z JOIN #new", ""},
		"new nick":    {":c0!y@z NICK :me\n:me!y@z PART #on\n:x!y@z JOIN #on", "not on #on"},
		"other nick":  {":c1!y@z NICK :c0x\n:c0!y@z PART #on\n:x!y@z JOIN #on", "not on #on"},
		"renamed":     {":x!y@z RENAME #on #there :r\n:x!y@z JOIN #there", ""},
		"comes twice": {":c0!y@z JOIN #new\n:s 353 c0 = #new :c0 @x\n:s 366 c0 #new\n:X!y@z JOIN #new", "and was there"},
		"was never":   {":c0!y@z JOIN #new\n:s 353 c0 = #new :c0 @x\n:s 366 c0 #new\n:y!y@z PART #new", "was not there"},
		"has left":    {":c0!y@z JOIN #new\n:s 353 c0 = #new :c0 +x!y@z\n:s 366 c0 #new\n:x!y@z QUIT :\n:c0!y@z KICK #new x", "was not there"},
		"is another":  {":c0!y@z JOIN #new\n:s 353 c0 = #new :c0 x\n:x!y@z NICK y\n:y!y@z NICK x\n:x!y@z NICK c0", "who is on #new too"},
		"twice":       {"@msgid=a :x!y@z PRIVMSG #on :hi\n@msgid=a :x!y@z PRIVMSG #on :hi", "comes twice"},
		"two answers": {"@label=l1 :s ACK\n@label=l1 :s ACK", "label l1"},
		"no question": {"@label=l9 :s ACK", "label l9"},
		"no batch":    {"@batch=1 :s 366 c0", "no batch 1"},
		"not open":    {":s BATCH -1", "no such batch"},
		"open twice":  {":s BATCH +1 x\n:s BATCH +1 x", "opened twice"},
		"too long":    {"NOTICE c0 :" + strings.Repeat("x", 500), "not a line"},
		"no text":     {"NOTICE c0 :\xff", "UTF-8"},
		"sent away":   {"ERROR :Closing link (Ping timeout)", "sent away"},
		"defect":      {":s FAIL X INTERNAL_ERROR :oh", "defect"},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			c := newClient("client", nil, func(err error) { got = append(got, err.Error()) }, new(sync.WaitGroup))
			c.nick = "c0"
			c.joined["#on"] = true
			c.labels["l1"], c.labels["l2"] = &answer{}, &answer{}
			for line := range strings.SplitSeq(test.lines, "\n") {
				c.judgeForm(line + "\r\n")
				c.judge(parse(line))
			}
			switch {
			case test.want == "" && len(got) > 0:
				t.Error(got)
			case test.want != "" && (len(got) == 0 || !strings.Contains(got[0], test.want)):
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

func TestJudgeEnd(t *testing.T) {
	for line, numerics := range map[string][]string{"WHO #a": {"352", "315"}, "WHOIS": {"431"}, "HELP x": {"524"}, "JOIN #a": nil} {
		a := &answer{}
		for _, n := range numerics {
			a.lines = append(a.lines, message{command: n})
		}
		for _, drop := range []bool{false, true} {
			if drop && len(a.lines) > 0 {
				a.lines = a.lines[:len(a.lines)-1]
			}
			complaints := 0
			c := newClient("client", nil, func(error) { complaints++ }, new(sync.WaitGroup))
			c.judgeEnd(line, a)
			if (complaints > 0) != (drop && numerics != nil) {
				t.Errorf("%s, %v: %d complaints", line, a.lines, complaints)
			}
		}
	}
}

func TestParse(t *testing.T) {
	got := parse("@label=x;+a :nick!user@host PRIVMSG #a :two words")
	want := message{
		tags: map[string]string{"label": "x", "+a": ""}, source: "nick!user@host", nick: "nick", command: "PRIVMSG", params: []string{"#a", "two words"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
}

// TestRunTellsOfAServerThatIsGone: a run ends, with an error, when nobody is there.
func TestRunTellsOfAServerThatIsGone(t *testing.T) {
	near, far := net.Pipe()
	far.Close()
	if _, err := Run(Config{Clients: 1, Dial: func(int) (net.Conn, error) { return near, nil }, Program: []byte("xyz")}); err == nil {
		t.Error("no error")
	}
	if _, err := Run(Config{Clients: 2, Dial: func(int) (net.Conn, error) { return nil, net.ErrClosed }}); err == nil {
		t.Error("no error")
	}
}

// TestToldMembers: a client's list of nicks follows what it is shown.
func TestToldMembers(t *testing.T) {
	c := newClient("client", nil, func(err error) { t.Error(err) }, new(sync.WaitGroup))
	c.nick = "c0"
	for line := range strings.SplitSeq(":c0!u@h JOIN #A\n:s 353 c0 = #a :c0 @Op!u@h\n:s 353 c0 = #a :+v x\n:s 366 c0 #a\n:new!u@h JOIN #a\n"+
		":s MODE #a +ko-o+o key c0 op NEW\n:x!u@h QUIT :bye\n:v!u@h NICK :w\n:s MODE #a -l+v w\n:op!u@h PART #a", "\n") {
		c.judge(parse(line))
	}
	if got, highest, known := c.toldMembers("#a"); got != "@c0 @new w" || !highest || !known {
		t.Errorf("%q, %v, %v", got, highest, known)
	}
	c.multiPrefix = true
	for line := range strings.SplitSeq(":c0!u@h JOIN #A\n:s 353 c0 = #a :c0 @%+Op!u@h +v %+x\n:s 366 c0 #a\n:s MODE #a -o+o-v op c0 X", "\n") {
		c.judge(parse(line))
	}
	if got, highest, known := c.toldMembers("#a"); got != "%op %x +v @c0" || highest || !known {
		t.Errorf("%q, %v, %v", got, highest, known)
	}
	if got := shownMembers("353 @c0 +W @new %hop\n324 #a +o\n", true); got != "@c0 @new hop w" {
		t.Errorf("%q", got)
	}
	if got := shownMembers("353 @c0 +W @new %hop\n324 #a +o\n", false); got != "%hop +w @c0 @new" {
		t.Errorf("%q", got)
	}
}

// TestCompareModes: what a client was shown of modes and lists is held against what it sees, but for what it was never shown.
func TestCompareModes(t *testing.T) {
	c := newClient("client", nil, func(err error) { t.Error(err) }, new(sync.WaitGroup))
	c.nick = "c0"
	for line := range strings.SplitSeq(":c0!u@h JOIN #A\n:x!u@h MODE #a +tbl-nI+v X!*@* 5 Y!*@* c0\n:x!u@h MODE #a +b-b z!*@* Z!*@*", "\n") {
		c.judge(parse(line))
	}
	const same = "353 @c0\n324 +stl 5\n346 other!*@* x 1\n367 x!*@* x 1\n"
	if got := c.compareModes("#a", same); got != "" {
		t.Error(got)
	}
	for old, changed := range map[string]string{"+stl 5": "+stl 6", "+st": "+s", "+stl": "+nstl", "346 other": "346 y", "367 x": "367 other", "1\n367": "1\n367 z!*@* x 1\n367"} {
		if got := c.compareModes("#a", strings.Replace(same, old, changed, 1)); got == "" {
			t.Errorf("%s instead of %s is not noticed", changed, old)
		}
	}
}
