package chattest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"ircbridge/chat"
)

// quiet is how long a body waits for something that must not come.
const quiet = 2 * time.Second

// world is one subtest: its Env and the users it has let in.
type world struct {
	Env
	users []*user
}

// user is a session and all events it ever got.
type user struct {
	chat.Session
	w *world

	mu     sync.Mutex // held only to copy
	events []chat.Event
	ended  error // what Next ended with
}

// open lets a user in on node i, and collects his events.
func (w *world) open(i int, nick string) *user {
	w.T().Helper()
	u := w.openIdle(i, nick)
	u.pump()
	return u
}

// openIdle lets a user in who does not take his events.
func (w *world) openIdle(i int, nick string) *user {
	w.T().Helper()
	s, err := w.Service(i).Open(context.Background(), userNamed(nick))
	if err != nil {
		w.Fatalf("open %s on %s: %v", nick, where(i), err)
	}
	return w.add(s)
}

func (w *world) add(s chat.Session) *user {
	u := &user{Session: s, w: w}
	w.users = append(w.users, u)
	return u
}

func userNamed(nick string) chat.User {
	return chat.User{Nick: nick, Username: "u" + strings.ToLower(chat.Cut(nick, 8)), Realname: "Real " + nick}
}

// pump starts the task that takes the user's events.
func (u *user) pump() {
	u.w.Go("collect", func() {
		for {
			e, err := u.Next(context.Background())
			u.mu.Lock()
			if err != nil {
				u.ended = err
				u.mu.Unlock()
				return
			}
			u.events = append(u.events, e)
			u.mu.Unlock()
		}
	})
}

func (u *user) all() []chat.Event {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.events)
}

func (u *user) end() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.ended
}

// closeAll ends what a body left open, so that all its tasks end.
func (w *world) closeAll() {
	for _, u := range w.users {
		u.Close("test over")
	}
}

// meet waits until each of these users can find each other by nick.
func (w *world) meet(users ...*user) {
	w.T().Helper()
	for _, a := range users {
		for _, b := range users {
			nick := b.Self().Nick
			w.Eventually(a.Self().Nick+" finds "+nick, func() bool {
				_, err := a.Lookup(context.Background(), nick)
				return err == nil
			})
		}
	}
}

// join joins and must succeed.
func (u *user) join(channel string) chat.Channel {
	u.w.T().Helper()
	return u.joinKey(channel, "")
}

func (u *user) joinKey(channel, key string) chat.Channel {
	u.w.T().Helper()
	c, err := u.Join(context.Background(), channel, key)
	if err != nil {
		u.w.Fatalf("%s joins %s: %v", u.Self().Nick, channel, err)
	}
	return c
}

// joinAll lets each join, the first as the founder, and waits until all see
// all.
func (w *world) joinAll(channel string, users ...*user) {
	w.T().Helper()
	var nicks []string
	for _, u := range users {
		u.join(channel)
		nicks = append(nicks, u.Self().Nick)
	}
	for _, u := range users {
		u.sees(channel, nicks...)
	}
}

// sees waits until the user's view of a channel has exactly these members.
func (u *user) sees(channel string, nicks ...string) {
	u.w.T().Helper()
	slices.SortFunc(nicks, func(a, b string) int { return strings.Compare(chat.Fold(a), chat.Fold(b)) })
	want := strings.Join(nicks, " ")
	last := ""
	defer func() {
		if last != want {
			u.w.T().Errorf("%s sees in %s: %s", u.Self().Nick, channel, last)
		}
	}()
	u.w.Eventually(fmt.Sprintf("%s sees in %s: %s", u.Self().Nick, channel, want), func() bool {
		c, err := u.Channel(context.Background(), channel)
		if err != nil {
			last = err.Error()
			return false
		}
		last = strings.Join(nicksOf(c), " ")
		return last == want
	})
}

func nicksOf(c chat.Channel) []string {
	var nicks []string
	for _, m := range c.Members {
		nicks = append(nicks, m.Nick)
	}
	return nicks
}

// say sends text, and returns the number.
func (u *user) say(target, text string) uint64 {
	u.w.T().Helper()
	n, err := u.Send(chat.Outgoing{Target: target, Text: text})
	if err != nil {
		u.w.Fatalf("%s sends to %s: %v", u.Self().Nick, target, err)
	}
	return n
}

// outcome waits for the outcome of a send.
func (u *user) outcome(number uint64) chat.Sent {
	u.w.T().Helper()
	return await(u, fmt.Sprintf("outcome of send %d", number), func(e chat.Sent) bool { return e.Number == number })
}

// said sends text and must succeed.
func (u *user) said(target, text string) chat.Sent {
	u.w.T().Helper()
	sent := u.outcome(u.say(target, text))
	if sent.Err != nil {
		u.w.Fatalf("%s sends to %s: outcome %v", u.Self().Nick, target, sent.Err)
	}
	return sent
}

// refused sends text and wants the outcome want.
func (u *user) refused(want error, target, text string) {
	u.w.T().Helper()
	if sent := u.outcome(u.say(target, text)); !errors.Is(sent.Err, want) {
		u.w.T().Errorf("%s sends to %s: outcome %v, want %v", u.Self().Nick, target, sent.Err, want)
	}
}

// silenced sends text, and wants it refused by a mode of the channel.
func (u *user) silenced(mode, channel, text string) {
	u.w.T().Helper()
	var why *chat.SendError
	sent := u.outcome(u.say(channel, text))
	if !errors.As(sent.Err, &why) || why.Mode != mode || !errors.Is(sent.Err, chat.ErrCannotSend) {
		u.w.T().Errorf("%s sends to %s: outcome %v, want it refused by %s", u.Self().Nick, channel, sent.Err, mode)
	}
}

// gets waits for a message with that text.
func (u *user) gets(text string) chat.Message {
	u.w.T().Helper()
	return await(u, fmt.Sprintf("message %.40q", text), func(e chat.Message) bool { return e.Text == text })
}

// texts lists the messages the user got for a target, in order.
func (u *user) texts(target string) []string {
	var texts []string
	for _, m := range find(u, func(e chat.Message) bool { return chat.SameName(e.Target, target) }) {
		texts = append(texts, m.Text)
	}
	return texts
}

// mode makes changes that must succeed, and returns those that took effect.
func (u *user) mode(channel string, changes ...chat.ModeChange) []chat.ModeChange {
	u.w.T().Helper()
	done, err := u.SetMode(context.Background(), channel, changes)
	if err != nil {
		u.w.Fatalf("%s sets %v on %s: %v", u.Self().Nick, changes, channel, err)
	}
	return done
}

func plus(mode byte, arg string) chat.ModeChange {
	return chat.ModeChange{Add: true, Mode: mode, Arg: arg}
}
func minus(mode byte, arg string) chat.ModeChange { return chat.ModeChange{Mode: mode, Arg: arg} }

// await waits until the user has got an event of type E for which match holds,
// and returns the first.
func await[E chat.Event](u *user, what string, match func(E) bool) E {
	u.w.T().Helper()
	var found []E
	u.w.Eventually(fmt.Sprintf("%s gets %T: %s", u.Self().Nick, *new(E), what), func() bool {
		found = find(u, match)
		return len(found) > 0
	})
	return found[0]
}

// find lists the events of type E for which match holds, in order.
func find[E chat.Event](u *user, match func(E) bool) []E {
	var found []E
	for _, e := range u.all() {
		if e, ok := e.(E); ok && match(e) {
			found = append(found, e)
		}
	}
	return found
}

// none fails the test if the user got such an event.
func none[E chat.Event](u *user, what string, match func(E) bool) {
	u.w.T().Helper()
	if found := find(u, match); len(found) > 0 {
		u.w.T().Errorf("%s got %s: %+v", u.Self().Nick, what, found[0])
	}
}

// once fails the test unless the user got exactly one such event.
func once[E chat.Event](u *user, what string, match func(E) bool) {
	u.w.T().Helper()
	if found := find(u, match); len(found) != 1 {
		u.w.T().Errorf("%s got %s %d times, want once: %+v", u.Self().Nick, what, len(found), found)
	}
}

func anyOf[E chat.Event](E) bool { return true }

// want fails the test unless err is (a wrapped) target.
func (w *world) want(what string, err, target error) {
	w.T().Helper()
	if !errors.Is(err, target) {
		w.T().Errorf("%s: %v, want %v", what, err, target)
	}
}

// must ends the test on an error.
func (w *world) must(what string, err error) {
	w.T().Helper()
	if err != nil {
		w.Fatalf("%s: %v", what, err)
	}
}

// watch guards what several tasks of one body write. It is held only to copy.
var watch sync.Mutex
