package ircd

import (
	"bufio"
	"context"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"ircbridge/chat"
	"ircbridge/chat/chattest"
)

// docRow is an entry of a table of docs/irc.md.
type docRow struct {
	name  string
	here  bool
	shown []string
}

var quoted = regexp.MustCompile("`([^`]+)`")

// docRows reads docs/irc.md: section by section, one entry for each name in a
// first column.
func docRows(t *testing.T) map[string][]docRow {
	t.Helper()
	text, err := os.ReadFile("../docs/irc.md")
	if err != nil {
		t.Fatal(err)
	}
	words := func(s string) (list []string) {
		for _, m := range quoted.FindAllStringSubmatch(s, -1) {
			list = append(list, m[1])
		}
		return list
	}
	sections, section := map[string][]docRow{}, ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if title, ok := strings.CutPrefix(line, "## "); ok {
			section = title
		}
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), " | ")
		if len(cells) != 3 {
			t.Fatalf("not three columns: %s", line)
		}
		what := strings.TrimSpace(cells[1])
		for _, name := range words(cells[0]) {
			sections[section] = append(sections[section], docRow{name, what != "no" && !strings.HasPrefix(what, "no:"), words(cells[2])})
		}
	}
	return sections
}

// TestDocIRC holds docs/irc.md against the code.
func TestDocIRC(t *testing.T) {
	sections := docRows(t)
	cfg := defaultConfig()
	var commands, caps, tokens, modes []string
	for name := range commandTable() {
		commands = append(commands, name)
	}
	for _, k := range capabilities {
		caps = append(caps, k.name)
	}
	for _, token := range isupportTokens(&cfg) {
		name, _, _ := strings.Cut(token, "=")
		tokens = append(tokens, name)
	}
	for _, r := range channelModes {
		modes = append(modes, "+"+string(r))
	}
	var users []string
	for _, m := range userModeTable {
		users = append(users, "+"+string(m.letter))
	}
	for section, test := range map[string]struct {
		there []string
		line  func(name string) string // a pattern of the line in a transcript
	}{
		"Commands":       {commands, func(n string) string { return `(?m)^\w+ >>>? (@\S+ )?` + n + `\b` }},
		"Capabilities":   {caps, func(n string) string { return `(?m)(^= .*| REQ .*)\b` + n }},
		"Tokens of 005":  {tokens, func(n string) string { return ` 005 .* ` + n + `[ =]` }},
		"Modes of users": {users, func(n string) string { return ` (MODE \w+ :?|221 \w+ )[+-]\w*` + n[len(n)-1:] }},
		"Modes":          {modes, func(n string) string { return `>> MODE #\w+ [+-]\w*` + n[len(n)-1:] }},
	} {
		t.Run(section, func(t *testing.T) {
			left := slices.Clone(test.there)
			for _, row := range sections[section] {
				i := slices.Index(left, row.name)
				if row.here != (i >= 0) {
					t.Errorf("%s: the page says %v, or twice", row.name, row.here)
				}
				if i >= 0 {
					left = slices.Delete(left, i, i+1)
					checkShown(t, row, regexp.MustCompile(test.line(regexp.QuoteMeta(row.name))))
				}
			}
			if len(left) > 0 {
				t.Errorf("the page lacks %v", left)
			}
		})
	}
	t.Run("tests", checkTests)
	t.Run("refused", func(t *testing.T) { refuseAll(t, sections) })
}

// checkShown asks for all tests that an entry names, and for its line in one
// of the transcripts.
func checkShown(t *testing.T, row docRow, line *regexp.Regexp) {
	found := false
	for _, name := range row.shown {
		text, err := os.ReadFile("testdata/" + name + ".txt")
		if err != nil {
			t.Errorf("%s: there is no transcript %s", row.name, name)
		}
		found = found || line.Match(text)
	}
	if !found {
		t.Errorf("%s: none of %v shows it", row.name, row.shown)
	}
}

// checkTests asks for every test that the page names.
func checkTests(t *testing.T) {
	files, _ := filepath.Glob("*_test.go")
	var all strings.Builder
	for _, file := range append(files, "../docs/irc.md") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	for _, m := range regexp.MustCompile("`(Test\\w+)`").FindAllStringSubmatch(all.String(), -1) {
		if !strings.Contains(all.String(), "func "+m[1]+"(t ") {
			t.Errorf("there is no %s", m[1])
		}
	}
}

// refuseAll asks a server for all that the page says is not there.
func refuseAll(t *testing.T, sections map[string][]docRow) {
	srv, err := newServer(chat.Setup{Service: chattest.NewService(chattest.Options{})}, defaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	near, far := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		srv.ServeConn(context.Background(), far)
	}()
	near.SetDeadline(time.Now().Add(10 * time.Second))
	c := &client{t, near, bufio.NewReader(near)}
	ask := func(line, want string) {
		c.send(line)
		if got := c.until(" "); !strings.Contains(got, want) {
			t.Errorf("%s: %s", line, got)
		}
	}
	c.register("al")
	c.send("JOIN #a")
	c.until(" 366 ")
	for section, rows := range sections {
		for _, row := range rows {
			switch {
			case row.here:
			case section == "Commands":
				ask(row.name+" a b c", " 421 al "+row.name+" ")
			case section == "Capabilities":
				ask("CAP REQ "+row.name, " NAK :"+row.name)
			case section == "Modes of users":
				ask("MODE al "+row.name, " 501 al ")
			case section == "Modes":
				ask("MODE #a "+row.name+" x", " 472 al "+row.name[1:]+" ")
			}
		}
	}
	near.Close()
	<-done
}
