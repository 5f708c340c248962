package ringsim

import (
	"errors"
	"fmt"
	"slices"

	"ircbridge/chat"
	"ircbridge/chord/ringcheck"
	"ircbridge/history"
	"ircbridge/overlay"
)

// agree finds what the nodes do not agree on: the ring, who keeps what, what
// the replicas have, and what users see.
func (r *run) agree() error {
	if err := r.net.ideal(); err != nil {
		return err
	}
	if err := r.net.placed(); err != nil {
		return err
	}
	for ch := range r.plan.channels {
		if err := r.agreeOn(channelName(ch)); err != nil {
			return err
		}
	}
	return nil
}

// agreeOn finds what members see differently in one channel.
func (r *run) agreeOn(channel string) error {
	var model []string
	in := r.inside(channel)
	for _, u := range in {
		model = append(model, u.session.Self().Nick)
	}
	slices.Sort(model)
	var first chat.Channel
	for i, u := range in {
		if !slices.Contains(u.session.Joined(), channel) {
			return fmt.Errorf("%s was not told that he is not in %s any more", u.client, channel)
		}
		c, err := u.session.Channel(background, channel)
		if err != nil {
			return fmt.Errorf("%s asks for %s: %w", u.client, channel, err)
		}
		if i == 0 {
			first = c
		}
		var nicks []string
		for _, m := range c.Members {
			nicks = append(nicks, m.Nick)
		}
		slices.Sort(nicks)
		switch {
		case !slices.Equal(nicks, model):
			return fmt.Errorf("%s sees %v in %s, where %v are", u.client, nicks, channel, model)
		case c.Topic != first.Topic:
			return fmt.Errorf("%s has the topic %q for %s, and %q for %s", channel, first.Topic.Text, in[0].client, c.Topic.Text, u.client)
		case c.Modes != first.Modes:
			return fmt.Errorf("%s has the modes %+v for %s, and %+v for %s", channel, first.Modes, in[0].client, c.Modes, u.client)
		case !c.Created.Equal(first.Created):
			return fmt.Errorf("%s was founded at %v for %s, and at %v for %s", channel, first.Created, in[0].client, c.Created, u.client)
		}
		if k := slices.IndexFunc(c.Members, func(m chat.Member) bool {
			return !slices.ContainsFunc(first.Members, func(f chat.Member) bool { return f == m })
		}); k >= 0 {
			return fmt.Errorf("in %s %s sees %+v, and %s does not", channel, u.client, c.Members[k], in[0].client)
		}
	}
	return nil
}

// placed finds an object that is not where it belongs: with one keeper, to whom
// its key belongs, and equal copies with those who follow him.
func (w *network) placed() error {
	running := w.running()
	type key struct{ kind, name string }
	held := make(map[key]map[*node]overlay.Holding)
	var order []key
	kept := make(map[key]bool) // else it ended, and some old copies have not heard so
	for _, n := range running {
		for _, h := range n.overlay.Holdings() {
			k := key{h.Kind, h.Name}
			if held[k] == nil {
				held[k] = make(map[*node]overlay.Holding)
				order = append(order, k)
			}
			held[k][n] = h
			kept[k] = kept[k] || h.Keeper
		}
	}
	for _, k := range order {
		if !kept[k] {
			continue
		}
		set := w.keepersOf(running, ringcheck.ID(overlay.Key(k.kind, k.name)), overlayCopies)
		keeper, ok := held[k][set[0]]
		if !ok || !keeper.Keeper {
			return fmt.Errorf("%s %s is not with %s, to whom its key belongs", k.kind, k.name, set[0].name())
		}
		for i, n := range running {
			h, has := held[k][n]
			at := slices.Index(set, n)
			switch {
			case !has && at > 0:
				return fmt.Errorf("%s has no copy of %s %s", n.name(), k.kind, k.name)
			case !has || at == 0:
			case h.Keeper:
				return fmt.Errorf("%s and %s both keep %s %s", set[0].name(), running[i].name(), k.kind, k.name)
			case at < 0:
				// An old copy, which is dropped when it is not heard of for a while.
			case h.Epoch != keeper.Epoch || h.Version != keeper.Version:
				return fmt.Errorf("%s has %s %s at version %d of epoch %d, its keeper %s at %d of %d", n.name(), k.kind, k.name, h.Version, h.Epoch.Counter, set[0].name(), keeper.Version, keeper.Epoch.Counter)
			case h.State != keeper.State && k.kind == "channel":
				// Names and the directory forget what is old when their keeper looks at them.
				return fmt.Errorf("%s and the keeper %s have the same version of %s %s, and not the same state", n.name(), set[0].name(), k.kind, k.name)
			}
		}
	}
	return nil
}

// askMembers tells the history what everybody sees, and what the model has; and
// finds who has rights that nobody gave him.
func (r *run) askMembers() {
	for ch := range r.plan.channels {
		channel := channelName(ch)
		var model []string
		for _, u := range r.inside(channel) {
			model = append(model, u.session.Self().Nick)
			c, err := u.session.Channel(background, channel)
			if err != nil {
				r.wrong("%s asks for %s: %v", u.client, channel, err)
				continue
			}
			var nicks []string
			for _, m := range c.Members {
				nicks = append(nicks, m.Nick)
				if m.Status&chat.Operator != 0 && !r.rules[ruler{channel, m.Session}] {
					r.wrong("%s sees %s as operator of %s, which nobody made him", u.client, m.Nick, channel)
				}
			}
			r.history.Members(u.client, channel, nicks)
		}
		if len(model) > 0 {
			r.history.Members("the model", channel, model)
		}
	}
}

// askNames looks whether each name leads to the one user who has it, from
// wherever it is asked.
func (r *run) askNames() {
	var live []*user
	for _, u := range r.users {
		if u.client != "" {
			live = append(live, u)
		}
	}
	owner := make(map[string]history.Client)
	for i, u := range live {
		self := u.session.Self()
		folded := chat.Fold(self.Nick)
		if o, taken := owner[folded]; taken {
			r.wrong("%s and %s both have the nick %s", o, u.client, folded)
		}
		owner[folded] = u.client
		asker := live[(i+1)%len(live)]
		who, err := asker.session.Lookup(background, self.Nick)
		for try := 0; errors.Is(err, chat.ErrUnreachable) && try < 5; try++ {
			who, err = asker.session.Lookup(background, self.Nick)
		}
		if errors.Is(err, chat.ErrClosed) {
			continue
		}
		if err != nil || who.Session != self.Session {
			r.wrong("%s looks %s up, who is %s, and finds %s (%v)", asker.client, self.Nick, u.client, who.Nick, err)
		}
	}
}
