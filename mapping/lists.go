package mapping

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"ircbridge/chat"
	"ircbridge/mapping/wire"
	"ircbridge/overlay"
)

// lists are the lists of masks of a channel, in the order of chat.ListModes.
type lists [len(chat.ListModes)]maskList

// maskList is one list, by folded mask.
type maskList map[string]listed

// listed is an entry of a list, or (gone) one that was there.
type listed struct {
	mask, by string
	at       int64
	gone     bool
	stamp    overlay.Stamp
}

func newLists() (l lists) {
	for i := range l {
		l[i] = maskList{}
	}
	return l
}

// of is the list of a letter of chat.ListModes.
func (l *lists) of(letter byte) maskList { return l[strings.IndexByte(chat.ListModes, letter)] }

// ban reports whether somebody is banned, and not exempt.
func (l *lists) ban(p person, who overlay.Stream) bool {
	return l.of('b').match(false, p, who) && !l.of('e').match(false, p, who)
}

// mute reports whether somebody may not speak, and is not exempt from that.
func (l *lists) mute(p person, who overlay.Stream) bool {
	return l.of('b').match(true, p, who) && !l.of('e').match(true, p, who)
}

// match reports whether an entry in force fits somebody: one about speaking, or
// another.
func (m maskList) match(mute bool, p person, who overlay.Stream) bool {
	if len(m) == 0 {
		return false
	}
	mask, account := p.mask(who), accountOf(who)
	for _, e := range m { // any order: one match is enough
		if !e.gone && chat.MatchEntry(e.mask, mute, mask, account) {
			return true
		}
	}
	return false
}

// inForce is the entries that are not gone, in the order of their masks.
func (m maskList) inForce() []listed { return m.without(nil) }

// without is the entries in force of which none is in force in other.
func (m maskList) without(other maskList) []listed {
	var list []listed
	for _, k := range sortedKeys(m) {
		if o, ok := other[k]; !m[k].gone && (!ok || o.gone) {
			list = append(list, m[k])
		}
	}
	return list
}

// chat is the list in the words of the contract, the oldest entry first.
func (m maskList) chat() []chat.ListEntry {
	var list []chat.ListEntry
	for _, e := range m.inForce() {
		list = append(list, chat.ListEntry{Mask: e.mask, By: e.by, At: time.UnixMilli(e.at)})
	}
	slices.SortStableFunc(list, func(a, b chat.ListEntry) int { return a.At.Compare(b.At) })
	return list
}

// len counts the entries, those that are gone too.
func (l *lists) len() (n int) {
	for _, list := range l {
		n += len(list)
	}
	return n
}

// clone is a copy; what is nil stays so.
func (l lists) clone() lists {
	for i := range l {
		l[i] = maps.Clone(l[i])
	}
	return l
}

// merge unites other's entries into l: of each the later.
func (l *lists) merge(other lists) {
	for i, list := range other {
		for k, e := range list { // any order: maximum
			if old, ok := l[i][k]; !ok || laterListed(e, old) {
				l[i][k] = e
			}
		}
	}
}

func laterListed(a, b listed) bool {
	return cmp.Or(a.stamp.Compare(b.stamp), cmp.Compare(boolInt(a.gone), boolInt(b.gone)), cmp.Compare(a.at, b.at),
		cmp.Compare(a.mask, b.mask), cmp.Compare(a.by, b.by)) > 0
}

// prune forgets, of each list, the oldest of too many that are gone.
func (l *lists) prune() {
	for _, list := range l {
		if len(list) <= maxGoneMasks {
			continue
		}
		var gone []string
		for _, k := range sortedKeys(list) {
			if list[k].gone {
				gone = append(gone, k)
			}
		}
		slices.SortStableFunc(gone, func(a, b string) int { return list[a].stamp.Compare(list[b].stamp) })
		for _, k := range gone[:max(0, len(gone)-maxGoneMasks)] {
			delete(list, k)
		}
	}
}

func (m maskList) toWire(t *tables) (ws []*wire.Ban) {
	for _, k := range sortedKeys(m) {
		e := m[k]
		ws = append(ws, &wire.Ban{Mask: []byte(e.mask), By: []byte(e.by), AtMs: e.at, Gone: e.gone, Stamp: t.stamp(e.stamp)})
	}
	return ws
}

// wireLists is a message that has the lists of a channel: a state, or one at rest.
type wireLists interface {
	GetBans() []*wire.Ban
	GetExcepts() []*wire.Ban
	GetInvexes() []*wire.Ban
}

// tooLong reports whether a list has more entries than any keeper remembers.
func tooLong(w wireLists) bool {
	return max(len(w.GetBans()), len(w.GetExcepts()), len(w.GetInvexes())) > maxKept
}

func listsFromWire(r *reader, w wireLists) lists {
	l := newLists()
	for i, ws := range [...][]*wire.Ban{w.GetBans(), w.GetExcepts(), w.GetInvexes()} {
		for _, b := range ws {
			mask := r.text(b.GetMask(), chat.MaxMask)
			l[i][chat.Fold(mask)] = listed{mask: mask, by: r.text(b.GetBy(), maxBy), at: b.GetAtMs(), gone: b.GetGone(), stamp: r.stamp(b.GetStamp())}
		}
	}
	return l
}
