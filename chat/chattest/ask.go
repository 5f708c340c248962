package chattest

import (
	"context"
	"fmt"

	"ircbridge/chat"
)

// Channel implements chat.Session.
func (se *session) Channel(ctx context.Context, name string) (chat.Channel, error) {
	if err := se.begin(ctx); err != nil {
		return chat.Channel{}, err
	}
	n := se.net
	defer n.mu.Unlock()
	c := n.channelLocked(name)
	if c == nil {
		return chat.Channel{}, fmt.Errorf("channel %q: %w", chat.Cut(name, 2*chat.MaxChannel), chat.ErrNoSuchChannel)
	}
	if _, on := c.members[se]; !on {
		if err := n.failLocked("Channel", name); err != nil {
			return chat.Channel{}, err
		}
	}
	return c.viewLocked(se), nil
}

// Joined implements chat.Session.
func (se *session) Joined() []string {
	se.net.mu.Lock()
	defer se.net.mu.Unlock()
	var names []string
	for _, c := range se.joined {
		names = append(names, c.name)
	}
	return names
}

// List implements chat.Session.
func (se *session) List(ctx context.Context) ([]chat.Listed, error) {
	if err := se.begin(ctx); err != nil {
		return nil, err
	}
	n := se.net
	defer n.mu.Unlock()
	if err := n.failLocked("List", ""); err != nil {
		return nil, err
	}
	var list []chat.Listed
	for _, c := range n.visibleLocked(se) {
		l := chat.Listed{Name: c.name, Topic: c.topic.Text, Created: c.created, Count: len(c.members)}
		if l.Topic != "" {
			l.TopicAt = c.topic.At
		}
		list = append(list, l)
	}
	return list, nil
}

// Lookup implements chat.Session.
func (se *session) Lookup(ctx context.Context, nick string) (chat.Whois, error) {
	if err := se.begin(ctx); err != nil {
		return chat.Whois{}, err
	}
	n := se.net
	defer n.mu.Unlock()
	if err := n.failLocked("Lookup", nick); err != nil {
		return chat.Whois{}, err
	}
	who, err := n.nickLocked(se, nick)
	if err != nil {
		return chat.Whois{}, err
	}
	w := chat.Whois{Profile: who.self, Node: who.home.node.ID, SignOn: who.signOn, Idle: n.opt.Now().Sub(who.active)}
	for _, c := range n.visibleLocked(se) {
		if status, on := c.members[who]; on {
			w.Channels = append(w.Channels, status.Sign()+c.name)
		}
	}
	return w, nil
}

// Keeper implements chat.Session: the first node keeps everything.
func (se *session) Keeper(ctx context.Context, name string) (chat.Keeper, error) {
	if err := se.begin(ctx); err != nil {
		return chat.Keeper{}, err
	}
	n := se.net
	defer n.mu.Unlock()
	if !chat.ValidChannel(name) {
		return chat.Keeper{}, fmt.Errorf("keeper of %q: %w", chat.Cut(name, 2*chat.MaxChannel), chat.ErrBadChannel)
	}
	if err := n.failLocked("Keeper", name); err != nil {
		return chat.Keeper{}, err
	}
	first := n.nodes[0]
	k := chat.Keeper{Node: first.node.ID, Host: first.node.Host, Self: first == se.home}
	if c := n.channelLocked(name); c != nil {
		k.Known, k.Count = true, len(c.members)
	}
	return k, nil
}
