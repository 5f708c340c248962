package history

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// A run is a history in which nothing is wrong, as a list of what was told, so
// that a test can spoil it. In the order of one channel everybody sees everything
// that is sent while he is there.
type run struct {
	rng  *rand.Rand
	acts []act
}

// An act is one call of a History.
type act struct {
	kind    string // joined, left, sent, acked, saw
	at      time.Duration
	c       Client
	channel string
	text    string
}

// goodRun draws a history of some clients in some channels over a few minutes.
func goodRun(rng *rand.Rand) *run {
	r := &run{rng: rng}
	clients := 3 + rng.IntN(6)
	channels := 1 + rng.IntN(3)
	in := make(map[string][]Client)
	for i := range clients {
		for k := range channels {
			if i < 3 || rng.IntN(2) == 0 { // three stay in every channel all the time
				ch := fmt.Sprintf("#c%d", k)
				in[ch] = append(in[ch], Client(fmt.Sprintf("u%d", i)))
				r.tell(act{"joined", 0, in[ch][len(in[ch])-1], ch, ""})
			}
		}
	}
	at := s
	for n := range 20 + rng.IntN(200) {
		at += time.Duration(rng.IntN(1000)) * time.Millisecond
		ch := fmt.Sprintf("#c%d", rng.IntN(channels))
		if who := rng.IntN(len(in[ch])); who > 2 && rng.IntN(10) == 0 {
			r.tell(act{"left", at, in[ch][who], ch, ""})
			in[ch] = slices.Delete(in[ch], who, who+1)
			continue
		}
		from := in[ch][rng.IntN(len(in[ch]))]
		text := fmt.Sprintf("m%d", n)
		r.tell(act{"sent", at, from, ch, text})
		for _, c := range in[ch] {
			kind := "saw"
			if c == from {
				kind = "acked"
			}
			r.tell(act{kind, at + time.Duration(rng.IntN(400))*time.Millisecond, c, ch, text})
		}
	}
	return r
}

func (r *run) tell(a act) { r.acts = append(r.acts, a) }

func (r *run) history() *History {
	h := New()
	for _, a := range r.acts {
		switch a.kind {
		case "joined":
			h.Joined(a.at, a.c, a.channel)
		case "left":
			h.Left(a.at, a.c, a.channel)
		case "sent":
			h.Sent(a.at, a.c, a.channel, a.text)
		case "acked":
			h.Acked(a.at, a.c, a.text)
		case "saw":
			h.Saw(a.at, a.c, a.channel, a.text)
		}
	}
	return h
}

// pick draws an act that f likes, and returns its index.
func (r *run) pick(f func(i int, a act) bool) int {
	var list []int
	for i, a := range r.acts {
		if f(i, a) {
			list = append(list, i)
		}
	}
	if len(list) == 0 {
		return -1
	}
	return list[r.rng.IntN(len(list))]
}

// stays reports whether a client never leaves a channel.
func (r *run) stays(c Client, channel string) bool {
	return !slices.ContainsFunc(r.acts, func(a act) bool { return a.kind == "left" && a.c == c && a.channel == channel })
}

// next finds what a client is shown next in a channel after the act i, of any
// sender or of the same one only.
func (r *run) next(i int, sameSender bool) int {
	a := r.acts[i]
	for k := i + 1; k < len(r.acts); k++ {
		b := r.acts[k]
		if b.kind == "saw" && b.c == a.c && b.channel == a.channel && (!sameSender || r.sender(b.text) == r.sender(a.text)) {
			return k
		}
	}
	return -1
}

func (r *run) sender(text string) Client {
	return r.acts[slices.IndexFunc(r.acts, func(a act) bool { return a.kind == "sent" && a.text == text })].c
}

// swap exchanges what was shown at two acts, as if the later had come first.
func (r *run) swap(i, k int) { r.acts[i].text, r.acts[k].text = r.acts[k].text, r.acts[i].text }

// others reports whether two more clients saw both texts, so that somebody
// contradicts who sees them the other way round.
func (r *run) others(c Client, one, two string) bool {
	saw := make(map[Client]int)
	for _, a := range r.acts {
		if a.kind == "saw" && a.c != c && (a.text == one || a.text == two) {
			saw[a.c]++
		}
	}
	for _, n := range saw {
		if n == 2 {
			return true
		}
	}
	return false
}

// plants are the ways to spoil a good run, each with the counter that must show
// it. They report whether the run had a place for it.
var plants = []struct {
	name  string
	plant func(r *run) bool
	found func(Report) int
}{
	{"lost", func(r *run) bool {
		i := r.pick(func(_ int, a act) bool { return a.kind == "saw" && r.stays(a.c, a.channel) })
		if i < 0 {
			return false
		}
		r.acts = slices.Delete(r.acts, i, i+1)
		return true
	}, func(r Report) int { return r.Lost }},
	{"duplicated", func(r *run) bool {
		i := r.pick(func(_ int, a act) bool { return a.kind == "saw" || a.kind == "acked" })
		if i < 0 {
			return false
		}
		r.acts = slices.Insert(r.acts, i+1+r.rng.IntN(len(r.acts)-i), r.acts[i])
		return true
	}, func(r Report) int { return r.Duplicated }},
	{"reordered", func(r *run) bool {
		i := r.pick(func(i int, a act) bool { return a.kind == "saw" && r.next(i, true) >= 0 })
		if i < 0 {
			return false
		}
		r.swap(i, r.next(i, true))
		return true
	}, func(r Report) int { return r.Reordered }},
	{"invented", func(r *run) bool {
		i := r.pick(func(_ int, a act) bool { return a.kind == "saw" })
		if i < 0 {
			return false
		}
		a := r.acts[i]
		a.text = "never sent"
		r.acts = slices.Insert(r.acts, i, a)
		return true
	}, func(r Report) int { return r.Invented }},
	{"diverged", func(r *run) bool {
		i := r.pick(func(i int, a act) bool {
			k := -1
			if a.kind == "saw" {
				k = r.next(i, false)
			}
			return k >= 0 && r.sender(r.acts[k].text) != r.sender(a.text) && r.others(a.c, a.text, r.acts[k].text)
		})
		if i < 0 {
			return false
		}
		r.swap(i, r.next(i, false))
		return true
	}, func(r Report) int { return r.Diverged }},
}

// A good history is found good, and each kind of violation that is planted in it
// is found, once or more, and called by its name.
func TestPlantedViolationsAreFound(t *testing.T) {
	const runs = 200
	planted := make([]int, len(plants))
	for seed := range uint64(runs) {
		rng := func() *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }
		rules := Rules{After: s, UnderWay: s, EchoInOrder: false, AnswerWithin: 5 * s}
		if r := goodRun(rng()).history().Check(rules); !r.OK() || r.Unanswered+r.Refused > 0 || r.Delivered == 0 {
			t.Fatalf("seed %d: a good history: %v\n%q", seed, r, r.Violations)
		}
		for i, p := range plants {
			bad := goodRun(rng())
			if !p.plant(bad) {
				continue
			}
			planted[i]++
			if r := bad.history().Check(rules); r.OK() || p.found(r) == 0 {
				t.Errorf("seed %d: planted %s, found %v", seed, p.name, r)
			}
		}
	}
	for i, p := range plants {
		if planted[i] < runs/2 {
			t.Errorf("only %d of %d runs had a place for %s", planted[i], runs, p.name)
		}
	}
}
