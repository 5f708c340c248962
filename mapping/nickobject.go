package mapping

import (
	"fmt"
	"slices"
	"time"

	"ircbridge/chat"
	"ircbridge/host"
	"ircbridge/mapping/wire"
	"ircbridge/overlay"
)

// nickObject is the keeper's side of a nickname: the claims of it, of which
// that of the node with the oldest is in force. More than one there is only
// after two keepers' copies met; the losers' nodes see it and give up theirs. Who
// held the name before is remembered for a day. It is plain, deterministic
// state (overlay.Object), but that all names of a node share one history.
type nickObject struct {
	name     string // folded
	heads    heads
	claims   claims
	released map[overlay.Stream]released // nil until the first
	watchers map[overlay.Stream]bool     // runs of nodes, as their session 0; nil until the first
	past     pasts
	history  *history // nil when nobody bounds the whole
}

// released remembers that a session's claims up to a number are over.
type released struct {
	number uint64
	at     int64
}

// maxReleased and releasedLife (ms) bound what a name remembers.
const (
	maxReleased  = 64
	releasedLife = 600_000
)

func newNickObject(name string) *nickObject {
	return &nickObject{name: name}
}

func (n *nickObject) Apply(t *overlay.Turn, req []byte) []byte { return n.apply(t, req) }

func (n *nickObject) Renew(t *overlay.Turn, node host.PeerID, run uint64, payload []byte) bool {
	return n.renew(t, node, run, payload)
}

func (n *nickObject) NodeGone(t *overlay.Turn, node host.PeerID, keep uint64) {
	n.nodeGone(t, node, keep)
}

// holder is the claim in force, or nil.
func (n *nickObject) holder() *claim {
	var best *claim
	for _, c := range n.claims {
		if best == nil || c.senior(best) {
			best = c
		}
	}
	if best == nil {
		return nil
	}
	return n.of(best.owner.Node)
}

// of is a node's claim: the latest, if it has several.
func (n *nickObject) of(node host.PeerID) *claim {
	var last *claim
	for _, c := range n.claims {
		if c.owner.Node == node && (last == nil || c.newer(last)) {
			last = c
		}
	}
	return last
}

func (n *nickObject) apply(t turn, req []byte) []byte {
	w := new(wire.NickRequest)
	if err := decode(req, w); err != nil {
		return encode(refuse(wire.Code_BAD_REQUEST))
	}
	var res *wire.Result
	switch w := w.What.(type) {
	case *wire.NickRequest_Claim:
		res = n.claim(t, w.Claim)
	case *wire.NickRequest_Release:
		res = n.release(t)
	case *wire.NickRequest_Person:
		res = n.setPerson(t, w.Person)
	case *wire.NickRequest_Watch:
		res = n.watch(t, w.Watch)
	default:
		res = refuse(wire.Code_BAD_REQUEST)
	}
	n.prune(t.Now().UnixMilli())
	return encode(res)
}

// claim takes a claim, unless another node's is in force. Among its own
// sessions a node decides itself, so its later claim replaces its earlier one,
// also one of an earlier run, and keeps its age.
func (n *nickObject) claim(t turn, w *wire.Claim) *wire.Result {
	c, err := claimFromWire(w, n.name, nil)
	from := t.From()
	switch {
	case err != nil:
		return &wire.Result{Code: wire.Code_BAD_REQUEST, Detail: err.Error()}
	case c.owner != from || c.number != t.Number():
		return &wire.Result{Code: wire.Code_BAD_REQUEST, Detail: "a claim of another session"}
	}
	if h := n.holder(); h != nil && h.owner.Node != from.Node {
		return &wire.Result{Code: wire.Code_NICK_IN_USE, Holder: h.toWire(nil)}
	}
	c.birth = birth{at: t.Now().UnixMilli(), random: t.Rand()}
	return n.install(t, c)
}

// install puts a claim in force and tells its node.
func (n *nickObject) install(t turn, c *claim) *wire.Result {
	now := t.Now().UnixMilli()
	for old := n.of(c.owner.Node); old != nil; old = n.of(c.owner.Node) {
		if old.birth.compare(c.birth) < 0 {
			c.birth = old.birth
		}
		if old.owner == c.owner {
			n.claims.drop(old.owner)
		} else {
			n.ended(old, now)
			n.over(old.owner, old.number, now)
		}
	}
	c.stamp = t.Stamp()
	n.claims.put(c)
	n.changed(t, nil)
	return &wire.Result{Event: true, Holder: c.toWire(nil)}
}

// changed gives a change its stamp. Those who watch the name are told, and when two nodes
// claim it, or did (both is the view of then), both.
func (n *nickObject) changed(t turn, both []byte) {
	t.SubscribersChanged()
	n.tell(t, both)
}

// release gives a session's claims back. Where another node's is in force, as after
// two rings met, that one is shown the claim that goes: it may not have seen both.
func (n *nickObject) release(t turn) *wire.Result {
	from, now := t.From(), t.Now().UnixMilli()
	var both []byte
	if c := n.claims.of(from); c != nil && c.number <= t.Number() {
		if h := n.holder(); h.owner.Node != from.Node {
			both = n.View()
		}
		n.ended(c, now)
	}
	n.over(from, t.Number(), now)
	n.changed(t, both)
	return &wire.Result{Event: true}
}

// setPerson takes what is new of who claims the name. Only who watches it is told:
// channels tell those who see him.
func (n *nickObject) setPerson(t turn, w *wire.Person) *wire.Result {
	p, err := personFromWire(w)
	c := n.claims.of(t.From())
	switch {
	case err != nil:
		return refuse(wire.Code_BAD_REQUEST)
	case c == nil:
		return refuse(wire.Code_NO_SUCH_NICK)
	}
	n.learn(t, c, p)
	return &wire.Result{}
}

// ended remembers who held the name by a claim. Only who sees a claim end
// remembers it, never a merge: copies that meet have seen it or will not.
func (n *nickObject) ended(c *claim, now int64) {
	p := past{owner: c.owner, number: c.number, person: c.person, until: now}
	p.person.nick, p.person.away, p.person.meta = c.nick, "", ""
	n.setPast(n.past.add(p))
}

func (n *nickObject) setPast(l pasts) {
	n.past = l
	if n.history != nil {
		n.history.note(n.name, l)
	}
}

// over ends a session's claims up to a number.
func (n *nickObject) over(who overlay.Stream, number uint64, at int64) {
	if r := n.released[who]; number > r.number || number == r.number && at > r.at {
		if n.released == nil {
			n.released = map[overlay.Stream]released{}
		}
		n.released[who] = released{number: number, at: at}
	}
	if c := n.claims.of(who); c != nil && c.number <= n.released[who].number {
		n.claims.drop(who)
	}
}

func (n *nickObject) prune(now int64) {
	n.prunePast(now)
	for k, r := range n.released { // any order: each for itself
		if r.at < now-releasedLife {
			delete(n.released, k)
		}
	}
	for len(n.released) > maxReleased {
		var oldest overlay.Stream
		for i, k := range sortedStreams(n.released) {
			if i == 0 || n.released[k].at < n.released[oldest].at {
				oldest = k
			}
		}
		delete(n.released, oldest)
	}
	n.heads.bound(maxHeads)
}

func (n *nickObject) prunePast(now int64) {
	at := now - pastLife
	if n.history != nil {
		at = max(at, n.history.forgets())
	}
	if l := n.past.after(at); len(l) < len(n.past) {
		n.setPast(l)
	}
}

func (n *nickObject) nodeGone(t turn, node host.PeerID, keep uint64) {
	n.watchersGone(node, keep)
	before := len(n.claims)
	for _, c := range slices.Clone(n.claims) {
		if c.owner.Node == node && (keep == 0 || c.owner.Run != keep) {
			n.ended(c, t.Now().UnixMilli())
			n.claims.drop(c.owner)
		}
	}
	if len(n.claims) != before {
		n.changed(t, nil)
	}
}

// renew takes a claim again that was lost here, and tells a node whose claim
// is no longer in force. A node that watches the name is taken in again too.
func (n *nickObject) renew(t turn, node host.PeerID, run uint64, payload []byte) bool {
	w := new(wire.Claim)
	if decode(payload, w) != nil {
		return true
	}
	known := n.renewClaim(t, node, run, w)
	if w.Watching && !n.watched(t, overlay.Stream{Node: node, Run: run}) {
		return false // it gets a view, which is all that it will hear for now
	}
	return known
}

func (n *nickObject) renewClaim(t turn, node host.PeerID, run uint64, w *wire.Claim) bool {
	c, err := claimFromWire(w, n.name, nil) // a node that only watches has none
	if err != nil || c.owner.Node != node || c.owner.Run != run {
		return true
	}
	if r, ok := n.released[c.owner]; ok && c.number <= r.number {
		return false
	}
	h := n.holder()
	switch {
	case h == nil || h.owner.Node == node && (h.owner.Run != run || h.owner.Session == c.owner.Session && h.number < c.number):
		if c.birth.none() {
			c.birth = birth{at: t.Now().UnixMilli(), random: t.Rand()}
		}
		n.install(t, c)
		return true
	case h.owner == c.owner:
		n.learn(t, h, c.person)
		return true
	case h.owner.Node != node && !c.birth.none() && c.senior(h):
		n.install(t, c) // it was there first: the keeper's copy came from elsewhere
		return true
	case h.owner.Node != node && !c.birth.none():
		n.lost(t, c)
	}
	return false
}

// lost tells who holds the name that another one believed to: his own node
// tells that one.
func (n *nickObject) lost(t turn, c *claim) {
	both := newNickObject(n.name)
	both.claims = slices.Clone(n.claims)
	both.claims.put(c)
	n.heads.add(t.Stamp())
	t.Emit(both.View())
}

func (n *nickObject) Query(_ host.PeerID, q []byte) []byte {
	a, w := new(wire.NickAnswer), new(wire.NickQuery)
	if h := n.holder(); h != nil {
		a.Claim = h.toWire(nil)
	}
	if decode(q, w) == nil && w.Past > 0 {
		l := n.former()
		a.Past = l[:min(len(l), int(min(w.Past, maxPast)))].toWire()
	}
	return encode(a)
}

// former lists who held the name and does not by the same claim: a node that
// was believed gone may have come back.
func (n *nickObject) former() pasts {
	return slices.DeleteFunc(slices.Clone(n.past), func(p past) bool {
		c := n.claims.of(p.owner)
		return c != nil && c.number == p.number
	})
}

func (n *nickObject) Snapshot() []byte {
	w := n.toWire()
	w.Past = n.past.toWire()
	w.Watchers = watchersToWire(n.watchers)
	return encode(w)
}

// toWire is the state without the past, which no view needs, and without the watchers, who
// are nobody's business.
func (n *nickObject) toWire() *wire.NickState {
	t := newTables(n.heads)
	w := new(wire.NickState)
	for _, c := range n.claims {
		w.Claims = append(w.Claims, c.toWire(t))
	}
	for _, k := range sortedStreams(n.released) {
		r := n.released[k]
		w.Released = append(w.Released, &wire.Released{Owner: sessionToWire(k), Number: r.number, AtMs: r.at})
	}
	w.Epochs = t.epochs
	return w
}

func (n *nickObject) View() []byte { return encode(n.toWire()) }

// decodeNick reads a snapshot of a name; each claim in it is verified.
func decodeNick(b []byte, name string) (*nickObject, error) {
	w := new(wire.NickState)
	if err := decode(b, w); err != nil {
		return nil, err
	}
	if len(w.Claims) > maxReleased || len(w.Released) > 4*maxReleased {
		return nil, fmt.Errorf("%w: a list is too long", errWire)
	}
	n, r := newNickObject(name), new(reader)
	n.heads, r.epochs, r.err = headsFromWire(w.Epochs)
	if r.err != nil {
		return nil, r.err
	}
	for _, cw := range w.Claims {
		c, err := claimFromWire(cw, name, r)
		if err != nil {
			return nil, err
		}
		n.unite(c)
	}
	for _, rw := range w.Released {
		who, err := sessionFromWire(rw.GetOwner())
		if err != nil {
			return nil, err
		}
		n.over(who, rw.Number, rw.AtMs)
	}
	if n.past, r.err = pastsFromWire(w.Past, name); r.err != nil {
		return nil, r.err
	}
	if n.watchers, r.err = watchersFromWire(w.Watchers); r.err != nil {
		return nil, r.err
	}
	return n, nil
}

// Merge unites two copies: of each node the later claim, all releases, all
// watchers, and of all former holders the latest.
func (n *nickObject) Merge(snapshot []byte) error {
	o, err := decodeNick(snapshot, n.name)
	if err != nil {
		return fmt.Errorf("merge nick %s: %w", n.name, err)
	}
	n.merge(o)
	return nil
}

// Revive implements overlay.Reviver: a claim that a node's database has is nothing
// against one that is in force, nor where it was seen to end.
func (n *nickObject) Revive(snapshot []byte) error {
	o, err := decodeNick(snapshot, n.name)
	if err != nil {
		return fmt.Errorf("revive nick %s: %w", n.name, err)
	}
	if n.holder() != nil || n.heads.knowsAll(o.heads) {
		o.claims = nil
	}
	n.merge(o)
	return nil
}

// merge unites another copy with this one; o is not used any more.
func (n *nickObject) merge(o *nickObject) {
	n.heads.addAll(o.heads)
	for _, c := range o.claims {
		n.unite(c)
	}
	for k, r := range n.released { // any order: each for itself
		n.over(k, r.number, r.at)
	}
	for k, r := range o.released { // any order: maximum
		n.over(k, r.number, r.at)
	}
	for who := range o.watchers { // any order: all of both
		n.takeWatcher(who)
	}
	n.boundWatchers()
	l := n.past
	for _, p := range o.past {
		l = l.add(p)
	}
	n.setPast(l)
}

func (n *nickObject) unite(c *claim) {
	if old := n.claims.of(c.owner); old != nil {
		c = old.unite(c)
	}
	n.claims.put(c)
}

func (n *nickObject) Nodes() []host.PeerID {
	list := make([]host.PeerID, 0, len(n.claims)+len(n.watchers))
	for _, c := range n.claims {
		list = append(list, c.owner.Node)
	}
	for k := range n.watchers { // any order: sorted below
		list = append(list, k.Node)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// Empty reports whether nobody claims the name, nobody has for a while, nobody
// is remembered, and no node watches it.
func (n *nickObject) Empty(now time.Time) bool {
	n.prunePast(now.UnixMilli())
	if len(n.claims)+len(n.past)+len(n.watchers) > 0 {
		return false
	}
	for _, r := range n.released { // any order: one is enough
		if r.at > now.UnixMilli()-emptyFor {
			return false
		}
	}
	return true
}

func (n *nickObject) Summary() string {
	h := n.holder()
	if h == nil {
		return fmt.Sprintf("nick %s, free, %d former holders, %d watchers", n.name, len(n.past), len(n.watchers))
	}
	return fmt.Sprintf("nick %s of %s, %d watchers", chat.Fold(h.nick), VisibleHost(h.owner.Node), len(n.watchers))
}
