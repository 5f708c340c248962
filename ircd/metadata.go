package ircd

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"ircbridge/chat"
)

// METADATA (IRCv3, "Metadata", a draft in two versions): keys with values, of users and
// channels. A client is told of changes of the keys that he has subscribed to. The two versions
// differ in how they tell (draft/metadata-2 by METADATA lines, draft/metadata-3 by the
// numerics of the answers) and in the names of errors. Who has negotiated neither gets answers
// in the form of the older.

// maxSubs bounds the keys that a client is told of.
const maxSubs = 50

// metadataLimits is the value of the capabilities.
var metadataLimits = fmt.Sprintf("before-connect,max-subs=%d,max-keys=%d,max-key-bytes=%d,max-value-bytes=%d",
	maxSubs, chat.MaxMetaKeys, chat.MaxMetaKey, chat.MaxMetaValue)

// A metadataVerb is a subcommand, for a target. own: the target is the client himself.
type metadataVerb struct {
	run  func(c *conn, target string, args []string)
	own  bool // for * only
	args int  // at least
}

func metadataVerbs() map[string]metadataVerb {
	return map[string]metadataVerb{
		"GET":   {run: (*conn).metadataGet, args: 1},
		"LIST":  {run: (*conn).metadataList},
		"SET":   {run: (*conn).metadataSet, args: 1},
		"CLEAR": {run: (*conn).metadataClear},
		"SUB":   {run: (*conn).metadataSub, own: true, args: 1},
		"UNSUB": {run: (*conn).metadataUnsub, own: true, args: 1},
		"SUBS":  {run: (*conn).metadataSubs, own: true},
		"SYNC":  {run: (*conn).metadataSync},
	}
}

func cmdMetadata(c *conn, m *message) error {
	target, word := m.params[0], m.param(1)
	verb, ok := metadataVerbs()[strings.ToUpper(word)]
	args := m.params[min(2, len(m.params)):]
	if target == "*" || chat.SameName(target, c.self.Nick) && c.session != nil {
		target = c.display()
	}
	own := target == c.display()
	switch {
	case !ok && c.caps&capMetadata3 == 0:
		c.standard(replyFail, "METADATA", "SUBCOMMAND_INVALID", "No such subcommand", orStar(word))
	case !ok:
		c.standard(replyFail, "METADATA", "INVALID_PARAMS", "No such subcommand", orStar(word))
	case len(args) < verb.args:
		c.standard(replyFail, "METADATA", "INVALID_PARAMS", "Not enough parameters", strings.ToUpper(word))
	case !own && (verb.own || c.session == nil):
		c.invalidTarget(target)
	default:
		verb.run(c, target, args)
	}
	return nil
}

// orStar is what stands for a word that a client left out, or that is none.
func orStar(word string) string {
	if word == "" || word[0] == ':' || strings.Contains(word, " ") {
		return "*"
	}
	return cutString(word, chat.MaxMetaKey)
}

func (c *conn) invalidTarget(target string) {
	c.standard(replyFail, "METADATA", "INVALID_TARGET", "There is no such user or channel, or it is not for you", orStar(target))
}

// invalidKey tells of a key that is none, among others (WARN) or alone.
func (c *conn) invalidKey(key string, among bool) {
	switch {
	case c.caps&capMetadata3 == 0:
		c.standard(replyFail, "METADATA", "KEY_INVALID", "A key is made of a-z, 0-9 and _./-", orStar(key))
	case among:
		c.standard(replyWarn, "METADATA", "INVALID_KEY", "A key is made of a-z, 0-9 and _./-", orStar(key))
	default:
		c.standard(replyFail, "METADATA", "INVALID_KEY", "A key is made of a-z, 0-9 and _./-", orStar(key))
	}
}

// metaBatch has f write its lines in a batch about a target, for clients that know batches.
func (c *conn) metaBatch(target string, f func()) {
	if c.caps&capBatch == 0 {
		f()
		return
	}
	c.nested("metadata", f, target)
}

// ownMeta is the client's own metadata.
func (c *conn) ownMeta() chat.Metadata {
	if c.session == nil {
		return c.wanted.meta
	}
	return c.session.Self().Meta
}

// metaOf finds the metadata of a target, with its name as it is written. It has answered
// when it is not ok.
func (c *conn) metaOf(target string) (name string, m chat.Metadata, ok bool) {
	if target == c.display() {
		return target, c.ownMeta(), true
	}
	if target[0] != '#' {
		f := c.lookup([]string{target})[0]
		if f.err == nil {
			return f.Nick, f.Meta, true
		}
		c.metaUnknown(f.err, target)
		return "", "", false
	}
	ctx, cancel := c.timeout()
	defer cancel()
	ch, err := c.session.Channel(ctx, target)
	if err == nil && ch.Secret {
		err = chat.ErrNoSuchChannel
	}
	if err != nil {
		c.metaUnknown(err, target)
		return "", "", false
	}
	return ch.Name, ch.Meta, true
}

func (c *conn) metaUnknown(err error, target string) {
	if errors.Is(err, chat.ErrNoSuchNick) || errors.Is(err, chat.ErrNoSuchChannel) {
		c.invalidTarget(target)
		return
	}
	c.fail(err, subject{command: "METADATA", nick: target})
}

// metaAnswer is a key in an answer.
func (c *conn) metaAnswer(target, key, value string) {
	if value == "" {
		c.reply(rplKeyNotSet, target, key)
		return
	}
	c.replyText(rplKeyValue, value, target, key, "*")
}

func (c *conn) metadataGet(target string, keys []string) {
	name, m, ok := c.metaOf(target)
	if !ok {
		return
	}
	c.metaBatch(name, func() {
		for _, key := range keys {
			if !chat.ValidMetaKey(key) {
				c.invalidKey(key, true)
				continue
			}
			c.metaAnswer(name, key, m.Get(key))
		}
	})
}

func (c *conn) metadataList(target string, _ []string) {
	name, m, ok := c.metaOf(target)
	if !ok {
		return
	}
	c.metaBatch(name, func() {
		for _, x := range m.Items() {
			c.metaAnswer(name, x.Key, x.Value)
		}
	})
}

func (c *conn) metadataSet(target string, args []string) {
	x := chat.MetaItem{Key: args[0]}
	if len(args) > 1 {
		x.Value = args[1]
	}
	switch {
	case !chat.ValidMetaKey(x.Key):
		c.invalidKey(x.Key, false)
		return
	case !chat.ValidMetaValue(x.Value):
		code := "INVALID_VALUE"
		if c.caps&capMetadata3 == 0 {
			code = "VALUE_INVALID"
		}
		c.standard(replyFail, "METADATA", code, fmt.Sprintf("A value has at most %d bytes", chat.MaxMetaValue), x.Key)
		return
	}
	if x.Value == "" && c.caps&capMetadata3 == 0 {
		name, m, ok := c.metaOf(target)
		if !ok {
			return
		}
		if m.Get(x.Key) == "" {
			c.standard(replyFail, "METADATA", "KEY_NOT_SET", "The key is not set", name, x.Key)
			return
		}
	}
	if c.setMeta(target, x.Key, x) {
		c.metaAnswer(target, x.Key, x.Value)
	}
}

// setMeta makes changes, about a key or (*) all, and tells why they were not made.
func (c *conn) setMeta(target, about string, changes ...chat.MetaItem) bool {
	err := error(chat.ErrNoPrivileges) // of another user
	switch {
	case c.session == nil:
		next := c.wanted.meta.With(changes...)
		if err = nil; !next.Fits() {
			err = chat.ErrMetadataFull
		} else {
			c.wanted.meta = next
		}
	case target == c.display() || target[0] == '#':
		ctx, cancel := c.timeout()
		defer cancel()
		channel := ""
		if target[0] == '#' {
			channel = target
		}
		if err = c.session.SetMetadata(ctx, channel, changes); channel != "" {
			c.catchUp(effected)
		}
	}
	switch {
	case err == nil:
		return true
	case errors.Is(err, chat.ErrNoPrivileges), errors.Is(err, chat.ErrNotOnChannel):
		c.standard(replyFail, "METADATA", "KEY_NO_PERMISSION", "You may not set it", orStar(target), about)
	case errors.Is(err, chat.ErrMetadataFull) && c.caps&capMetadata3 != 0:
		c.standard(replyFail, "METADATA", "LIMIT_REACHED", "No more can be set", "SET", target, strconv.Itoa(chat.MaxMetaKeys))
	case errors.Is(err, chat.ErrMetadataFull):
		c.standard(replyFail, "METADATA", "LIMIT_REACHED", "No more can be set", target)
	default:
		c.metaUnknown(err, target)
	}
	return false
}

func (c *conn) metadataClear(target string, _ []string) {
	name, m, ok := c.metaOf(target)
	if !ok {
		return
	}
	changes := m.Items()
	for i := range changes {
		changes[i].Value = ""
	}
	if !c.setMeta(name, "*", changes...) {
		return
	}
	c.metaBatch(name, func() {
		for _, x := range changes {
			c.metaAnswer(name, x.Key, "")
		}
	})
}

func (c *conn) metadataSub(_ string, keys []string) {
	var done, fresh []string
	full := ""
	for _, key := range keys {
		switch {
		case !chat.ValidMetaKey(key):
			c.invalidKey(key, true)
			continue
		case c.subs[key]:
		case len(c.subs) >= maxSubs:
			full = key
		default:
			if c.subs == nil {
				c.subs = map[string]bool{}
			}
			c.subs[key] = true
			fresh = append(fresh, key)
		}
		if full != "" {
			break
		}
		done = append(done, key)
	}
	c.replyKeys(rplMetadataSubOK, done)
	switch {
	case full != "" && c.caps&capMetadata3 != 0:
		c.standard(replyFail, "METADATA", "LIMIT_REACHED", "You are told of too many keys", "SUB", full, strconv.Itoa(maxSubs))
	case full != "":
		c.standard(replyFail, "METADATA", "TOO_MANY_SUBS", "You are told of too many keys", full)
	}
	if len(fresh) > 0 && c.session != nil && c.metaAware() {
		c.syncAll(func(key string) bool { return slices.Contains(fresh, key) })
	}
}

func (c *conn) metadataUnsub(_ string, keys []string) {
	var done []string
	for _, key := range keys {
		if !chat.ValidMetaKey(key) {
			c.invalidKey(key, true)
			continue
		}
		delete(c.subs, key)
		done = append(done, key)
	}
	c.replyKeys(rplMetadataUnsubOK, done)
}

func (c *conn) metadataSubs(string, []string) {
	show := func() { c.replyKeys(rplMetadataSubs, slices.Sorted(maps.Keys(c.subs))) }
	if c.caps&capBatch == 0 {
		show()
		return
	}
	c.nested("metadata-subs", show)
}

// replyKeys writes keys as parameters, in as many lines as it takes.
func (c *conn) replyKeys(n numeric, keys []string) {
	for len(keys) > 0 {
		most, size := 0, 0
		for most < min(len(keys), 12) && size+len(keys[most]) < maxBody-100 {
			size += len(keys[most]) + 1
			most++
		}
		c.reply(n, keys[:most]...)
		keys = keys[most:]
	}
}
