package ircd

import (
	"ircbridge/chat"
)

// What a client is told of metadata that he has subscribed to: at once, and unasked.

// whoisKeys are those that WHOIS shows, as people read them.
var whoisKeys = []string{"display-name", "pronouns", "status", "homepage"}

// metaAware reports whether the client is to be told of metadata unasked.
func (c *conn) metaAware() bool {
	return c.caps&(capMetadata2|capMetadata3) != 0 && c.caps&capBatch != 0
}

// metaNews is a key that the client is told of unasked, or as he has it synchronized.
func (c *conn) metaNews(target, key, value string) {
	if c.caps&capMetadata3 != 0 {
		c.metaAnswer(target, key, value)
		return
	}
	c.emit("", c.srv.name, "METADATA", "", []string{target, key, "*"}, value, value != "")
}

func (c *conn) metadataSync(target string, _ []string) {
	if target == "*ALL" && c.caps&capMetadata3 != 0 && c.session != nil {
		c.syncAll(c.subscribed)
		return
	}
	if c.session != nil && target[0] == '#' && c.on(target) {
		ctx, cancel := c.timeout()
		defer cancel()
		if ch, err := c.session.Channel(ctx, target); err == nil {
			c.syncChannel(ch)
			return
		}
	}
	name, m, ok := c.metaOf(target)
	if ok {
		c.metaBatch(name, func() { c.syncOne(name, m, c.subscribed) })
	}
}

func (c *conn) subscribed(key string) bool { return c.subs[key] }

// syncOne writes what a client is told of that a target has set.
func (c *conn) syncOne(target string, m chat.Metadata, want func(key string) bool) {
	for _, x := range m.Items() {
		if want(x.Key) {
			c.metaNews(target, x.Key, x.Value)
		}
	}
}

// syncChannel writes what a channel and its members have set.
func (c *conn) syncChannel(ch chat.Channel) {
	c.metaBatch(ch.Name, func() {
		c.syncOne(ch.Name, ch.Meta, c.subscribed)
		for _, m := range ch.Members {
			c.syncOne(m.Nick, m.Meta, c.subscribed)
		}
	})
}

// syncAll writes what all have set of whose changes the client is told.
func (c *conn) syncAll(want func(key string) bool) {
	about := "*"
	if c.caps&capMetadata3 != 0 {
		about = "*ALL"
	}
	var channels []chat.Channel
	ctx, cancel := c.timeout()
	defer cancel()
	for _, name := range c.session.Joined() {
		if ch, err := c.session.Channel(ctx, name); err == nil && c.on(name) {
			channels = append(channels, ch)
		}
	}
	c.metaBatch(about, func() {
		self := c.session.Self()
		seen := map[chat.SessionID]bool{}
		one := func(p chat.Profile) {
			if !seen[p.Session] {
				seen[p.Session] = true
				c.syncOne(p.Nick, p.Meta, want)
			}
		}
		one(self)
		for _, ch := range channels {
			c.syncOne(ch.Name, ch.Meta, want)
			for _, m := range ch.Members {
				one(m.Profile)
			}
		}
		for _, m := range c.monitoredNicks() {
			if m.online {
				one(m.who)
			}
		}
	})
}

// welcomeMetadata shows the client what he comes in with.
func (c *conn) welcomeMetadata() {
	if c.metaAware() {
		c.metaBatch(c.self.Nick, func() { c.syncOne(c.self.Nick, c.self.Meta, func(string) bool { return true }) })
	}
}

// metadataChanged tells of what is new, of the keys that the client has subscribed to.
func (c *conn) metadataChanged(e chat.MetadataChanged) {
	target := e.Channel
	if target == "" {
		target = e.Who.Nick
		c.watchedOnly(e.Watched, e.Who)
	} else if !c.on(target) {
		return
	}
	for _, x := range e.Changes {
		if c.metaAware() && c.subs[x.Key] {
			c.metaNews(target, x.Key, x.Value)
		}
	}
}

// sendWhoisMeta shows what people read of a user's metadata.
func (c *conn) sendWhoisMeta(p chat.Profile) {
	for _, key := range whoisKeys {
		if value := p.Meta.Get(key); value != "" && c.metaAware() {
			c.replyText(rplWhoisKeyValue, value, p.Nick, key, "*")
		}
	}
}
