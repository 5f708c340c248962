package mapping

import (
	"fmt"
	"testing"
	"time"

	"ircbridge/chat"
)

// TestTagsAmongWordsWhileTheKeeperDies: messages of tags only, sent between others,
// take nothing away from those when the keeper is killed: each text that was accepted is shown once,
// in its sender's order, and tags at most once, after the text before them.
func TestTagsAmongWordsWhileTheKeeperDies(t *testing.T) {
	for _, seed := range seeds(10) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			w := newSimNet(t, seed)
			w.grow(5)
			w.run(func(e *simEnv) {
				channel := e.channelOn(w.nodes[4])
				all := []*tester{e.open(w.nodes[0], "ann"), e.open(w.nodes[1], "bob"), e.open(w.nodes[2], "eve")}
				for _, u := range all {
					u.join(channel)
				}
				e.sees(all[0], channel, "@ann bob eve")
				e.Go("end of the keeper", func() {
					e.Sleep(time.Second/4 + time.Duration(seed)*777*time.Microsecond)
					w.Crash(w.nodes[4].h)
				})
				const n = 150
				for i := range n {
					for _, u := range all {
						u.send(channel, fmt.Sprintf("%s %d", u.name, i+1))
						tags := map[string]string{"+n": fmt.Sprint(i + 1)}
						if _, err := u.Send(chat.Outgoing{Target: channel, TagsOnly: true, Tags: tags}); err != nil {
							e.Fatalf("seed %d: tags: %v", seed, err)
						}
					}
					e.Sleep(3 * time.Millisecond)
				}
				for _, u := range all {
					if err := u.Flush(bg); err != nil {
						e.Fatalf("flush: %v", err)
					}
				}
				e.Sleep(3 * time.Second)
				for _, u := range all {
					for _, out := range eventsOf[chat.Sent](u) {
						if out.Err != nil {
							t.Errorf("seed %d: %s: %v", seed, u.name, out.Err)
						}
					}
					wordsAndTags(t, seed, u, len(all), n)
				}
			})
		})
	}
}

// wordsAndTags checks what one of them was shown of the others.
func wordsAndTags(t *testing.T, seed uint64, u *tester, users, n int) {
	words, tags := map[string]int{}, map[string]int{}
	for _, m := range eventsOf[chat.Message](u) {
		who := m.From.Nick
		k := 0
		if m.TagsOnly {
			fmt.Sscan(m.Tags["+n"], &k)
			if k <= tags[who] || k > words[who] {
				t.Errorf("seed %d: %s was shown tags %d of %s after tags %d and text %d", seed, u.name, k, who, tags[who], words[who])
			}
			tags[who] = k
			continue
		}
		fmt.Sscanf(m.Text, who+" %d", &k)
		if k != words[who]+1 {
			t.Errorf("seed %d: %s was shown text %d of %s after %d", seed, u.name, k, who, words[who])
		}
		words[who] = k
	}
	if len(words) != users-1 {
		t.Errorf("seed %d: %s was shown %v", seed, u.name, words)
	}
	for who, k := range words { // any order: each for itself
		if k != n {
			t.Errorf("seed %d: %s was shown %d of %d texts of %s", seed, u.name, k, n, who)
		}
	}
}
