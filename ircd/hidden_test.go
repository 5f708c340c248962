package ircd

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
)

// TestNobodyIsShownAnAddress plays all transcripts with clients that connect from addresses of
// their own: in every line that anybody gets, by whatever he asked, no address stands but his
// own, unless he is an operator of the server.
func TestNobodyIsShownAnAddress(t *testing.T) {
	const network = "203.0.113."
	shown := regexp.MustCompile(regexp.QuoteMeta(network) + `\d+`)
	files, _ := filepath.Glob("testdata/*.txt")
	own, others := 0, 0 // lines with an address, to oneself and to operators
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "@ from = ") && filepath.Base(file) != "oper.txt" {
			continue // it is about addresses
		}
		address := map[string]string{}
		played := ""
		synctest.Test(t, func(t *testing.T) {
			played = playWith(t, strings.ReplaceAll(string(text), "@ from = ", "# from = "), func(s *stage) {
				s.cfg.Limits.LineRate, s.cfg.Limits.Connects = 0, 0
				s.from = func(name string) net.Addr {
					address[name] = fmt.Sprint(network, len(address)+1)
					return &net.TCPAddr{IP: net.ParseIP(address[name]), Port: 40000}
				}
			})
		})
		operator := map[string]bool{}
		for line := range strings.Lines(played) {
			name, what, got := strings.Cut(line, " << ")
			if !got {
				continue
			}
			operator[name] = (operator[name] || strings.Contains(what, " 381 ")) && !strings.Contains(what, " MODE "+name+" :-o")
			for _, found := range shown.FindAllString(what, -1) {
				switch {
				case found == address[name]:
					own++
				case operator[name]:
					others++
				default:
					t.Errorf("%s: %s is shown an address: %s", filepath.Base(file), name, what)
				}
			}
		}
	}
	if own == 0 || others == 0 {
		t.Errorf("%d and %d addresses were shown to whom they may be: the test tests nothing", own, others)
	}
}
