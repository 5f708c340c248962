package ircd

import (
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

// CAP LS writes one line; a longer list would have to be split with a *.
func TestCapabilitiesFitALine(t *testing.T) {
	if n := len(capNames(allCaps)); n > maxBody-len(": CAP  LS :")-63-30 {
		t.Errorf("%d bytes", n)
	}
}
