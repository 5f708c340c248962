package ircd

import (
	"net"
	"slices"
	"strings"
	"testing"
)

func TestHelpFitsALineForEveryCommand(t *testing.T) {
	for name, cmd := range commandTable() {
		if cmd.help == "" || !strings.HasSuffix(cmd.help, ".") {
			t.Errorf("%s has no help", name)
		}
		if cmd.least > 0 && cmd.usage == "" {
			t.Errorf("%s takes parameters, but its usage names none", name)
		}
		for _, text := range []string{cmd.usage, cmd.help} {
			if len(text) > 200 {
				t.Errorf("%s: %d bytes of help", name, len(text))
			}
		}
		if name != strings.ToUpper(name) || cmd.run == nil || cmd.when == 0 {
			t.Errorf("%q can never be reached", name)
		}
	}
}

func TestWrapWords(t *testing.T) {
	for _, test := range []struct {
		list  string
		width int
		want  []string
	}{
		{"", 10, []string{""}},
		{"one two", 7, []string{"one two"}},
		{"one two three", 7, []string{"one two", "three"}},
		{"one two three", 6, []string{"one", "two", "three"}},
		{"unbroken one", 4, []string{"unbroken", "one"}},
		{"one unbroken", 4, []string{"one", "unbroken"}},
	} {
		if got := wrapWords(test.list, test.width); !slices.Equal(got, test.want) {
			t.Errorf("%q to %d: %q", test.list, test.width, got)
		}
	}
}

// TestCapabilitiesOnSeveralLines: for a client of version 302 a list that does not fit a line goes on with
// the next; one of another version is shown what fits. None is cut within a word.
func TestCapabilitiesOnSeveralLines(t *testing.T) {
	cfg := defaultConfig()
	cfg.ServerName = strings.Repeat("long-name.", 6) + "x"
	srv, err := newServer(chatSetup(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	list := func(version302 bool, sub, names string) (got []string) {
		near, far := net.Pipe()
		defer near.Close()
		c := newConn(srv, arrived(far))
		c.cap302 = version302
		c.out.writer = func() {}
		c.capList(sub, names)
		for line := range strings.Lines(string(c.out.buf.b)) {
			if len(line) > maxBody+2 {
				t.Errorf("%d bytes", len(line))
			}
			_, text, _ := strings.Cut(line[1:], ":")
			if more := strings.Contains(line, " "+sub+" * :"); more != (len(got) < 2 && version302) {
				t.Errorf("line %d: goes on is %v", len(got), more)
			}
			got = append(got, strings.TrimSuffix(text, "\r\n"))
		}
		return got
	}
	names := strings.TrimSpace(strings.Repeat("some-capability=value ", 50))
	if got := list(true, "LS", names); len(got) != 3 || strings.Join(got, " ") != names {
		t.Errorf("%q", got)
	}
	if got := list(false, "LS", names); len(got) != 1 || !strings.HasPrefix(names, got[0]+" ") {
		t.Errorf("%q", got)
	}
	if list := capsWithValues(); !strings.Contains(list, " draft/multiline=max-bytes=4096,max-lines=100 ") || strings.Count(list, " ") != len(capabilities)-1 {
		t.Errorf("with values: %s", list)
	}
}
