package chord

import (
	"ircbridge/chord/wire"
	"ircbridge/host"
	"time"
)

// Gossip can get lost: a node dies while it passes news on, or takes over from
// one that never heard them. So now and then a node compares its table with
// that of another one, a different one each time: first by one sum, then, if
// the tables differ, by the sums of segments of the ring, then by what each has
// in some of those that differ. Both take over what they lack.

// perSegment is about how many members a segment is to have.
const perSegment = 16

// partnerLocked is the node to compare with: one to which this node tells
// news, so that most connections are there already.
func (r *Ring) partnerLocked(now time.Time) (Contact, bool) {
	if c := r.keeping.partner; c != nil {
		r.keeping.partner = nil
		return *c, true
	}
	parts := r.partsLocked(now)
	if len(parts) == 0 {
		return Contact{}, false
	}
	return parts[int(r.h.Rand()%uint64(len(parts)))], true
}

// compareSoon compares with c next: it knows of members that this node does
// not.
func (r *Ring) compareSoon(c Contact) {
	if r.cfg.TableBudget <= 0 {
		return
	}
	now := r.h.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	k := &r.keeping
	if k.partner == nil {
		k.partner = &c
		k.compareAt = minTime(k.compareAt, now.Add(soonPeriods*r.cfg.StabilizePeriod))
		r.tableWake.Signal()
	}
}

// compareWith compares tables with c, once.
func (r *Ring) compareWith(c Contact) {
	found, err := r.compare(c)
	now := r.h.Now()
	r.mu.Lock()
	k := &r.keeping
	k.comparing = false
	if found > 3 {
		k.compareAt = minTime(k.compareAt, now.Add(r.jitter(soonPeriods*r.cfg.StabilizePeriod)))
	}
	r.mu.Unlock()
	r.tableWake.Signal()
	if err != nil {
		r.Suspect(c.Peer.ID)
	}
}

// compare returns the number of differences that it removed.
func (r *Ring) compare(c Contact) (found int, err error) {
	r.mu.Lock()
	m := &wire.CompareRequest{Level: uint32(r.table.level), Sum: r.table.sum(r.table.level)}
	r.mu.Unlock()
	answer, err := r.askCompare(c, m)
	if err != nil || answer.same || len(answer.sums) == 0 {
		return 0, err
	}
	m = &wire.CompareRequest{Level: uint32(answer.level), Bits: uint32(answer.bits)}
	r.mu.Lock()
	m.Segments = r.segmentsLocked(answer)
	r.mu.Unlock()
	if len(m.Segments) == 0 {
		return 0, nil
	}
	if answer, err = r.askCompare(c, m); err != nil {
		return 0, err
	}
	l := &letter{to: c}
	r.mu.Lock()
	news, back := r.reconcileLocked(answer)
	r.mu.Unlock()
	r.actOn(news)
	if len(back) > 0 {
		l.batches = []batch{{events: back}}
		r.post(l)
	}
	return len(news) + len(back), nil
}

func (r *Ring) askCompare(c Contact, m *wire.CompareRequest) (compared, error) {
	req, err := encode(m)
	if err != nil {
		return compared{}, err
	}
	reply, err := r.tableCall(c, methodCompare, req, r.timeout(c))
	if err != nil {
		return compared{}, err
	}
	return decodeCompared(reply)
}

// segmentsLocked is what this node has in some of the segments that differ.
func (r *Ring) segmentsLocked(theirs compared) (segments []*wire.Segment) {
	mine := r.table.sums(theirs.level, theirs.bits)
	start := int(r.h.Rand() % uint64(len(mine)))
	for i := range mine {
		at := (start + i) % len(mine)
		if mine[at] == theirs.sums[at] {
			continue
		}
		s := &wire.Segment{Index: uint32(at)}
		for _, e := range r.table.segment(theirs.level, theirs.bits, at) {
			s.Places = append(s.Places, place(e.ID))
			s.Incarnations = append(s.Incarnations, e.incarnation)
		}
		if len(s.Places) <= maxPlaces {
			segments = append(segments, s)
		}
		if len(segments) == maxSegments {
			break
		}
	}
	return segments
}

// reconcileLocked takes over what the other side named, and collects what it
// asked for, or what it does not know to be gone.
func (r *Ring) reconcileLocked(answer compared) (news, back []*event) {
	now := r.h.Now()
	for _, e := range answer.events {
		if r.believeLocked(e, now) {
			news = append(news, e)
		} else if g, ok := r.table.graves[place(e.ID)]; ok && !e.gone && g.incarnation >= e.incarnation && len(back) < maxEvents {
			back = append(back, g.event)
		}
	}
	for _, p := range answer.wanted {
		var id ID
		for i := range 8 {
			id[i] = byte(p >> (56 - 8*i))
		}
		at, _ := r.table.search(id)
		if at < len(r.table.members) && place(r.table.members[at].ID) == p && len(back) < maxEvents {
			back = append(back, r.table.members[at])
		}
	}
	return news, back
}

func (r *Ring) handleCompare(from host.Peer, req []byte) ([]byte, error) {
	q, err := decodeCompare(req)
	if err != nil {
		r.log.Warn("bad comparison of tables", "from", from.ID, "err", err)
		return nil, err
	}
	r.heard(from)
	now := r.h.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.meter.receive(len(req), now)
	if r.state != member {
		return nil, notMember(Contact{ID: r.id})
	}
	m := &wire.CompareReply{Level: max(q.Level, uint32(r.table.level))}
	level := int(m.Level)
	switch {
	case len(q.Segments) > 0:
		for _, s := range q.Segments {
			r.answerSegmentLocked(m, level, int(q.Bits), s)
		}
	case level == int(q.Level) && q.Sum == r.table.sum(level):
		m.Same = true
	default:
		n := 0
		for n < maxBits && len(r.table.members)>>(level-r.table.level)>>n > perSegment {
			n++
		}
		m.Bits, m.Sums = uint32(n), r.table.sums(level, n)
	}
	reply, err := encode(m)
	r.meter.send(len(reply), now)
	return reply, err
}

// answerSegmentLocked adds what the other side lacks, and what it has that
// this one lacks.
func (r *Ring) answerSegmentLocked(m *wire.CompareReply, level, bits int, s *wire.Segment) {
	theirs := make(map[uint64]uint64, len(s.Places))
	for i, p := range s.Places {
		theirs[p] = s.Incarnations[i]
	}
	have := make(map[uint64]uint64)
	for _, e := range r.table.segment(level, bits, int(s.Index)) {
		have[place(e.ID)] = e.incarnation
		if theirs[place(e.ID)] < e.incarnation && len(m.Events) < maxEvents {
			m.Events = append(m.Events, eventToWire(e))
		}
	}
	for i, p := range s.Places {
		if have[p] >= s.Incarnations[i] {
			continue
		}
		if g, ok := r.table.graves[p]; ok && g.incarnation >= s.Incarnations[i] {
			if len(m.Events) < maxEvents {
				m.Events = append(m.Events, eventToWire(g.event))
			}
		} else if len(m.Wanted) < maxEvents {
			m.Wanted = append(m.Wanted, p)
		}
	}
}
