package mapping

import (
	"cmp"
	"slices"

	"ircbridge/overlay"
)

// heads says of each epoch how far its events are known, the highest first. Most have one: it is a
// list, as a map of one entry takes the room of eight.
type heads []head

type head struct {
	epoch  overlay.Epoch
	number uint64
}

// place is where an epoch stands or belongs.
func (h heads) place(e overlay.Epoch) (i int, ok bool) {
	return slices.BinarySearchFunc(h, e, func(x head, e overlay.Epoch) int { return e.Compare(x.epoch) })
}

// of is how far an epoch is known.
func (h heads) of(e overlay.Epoch) uint64 {
	if i, ok := h.place(e); ok {
		return h[i].number
	}
	return 0
}

// covers reports whether the change of a stamp is known.
func (h heads) covers(s overlay.Stamp) bool { return h.of(s.Epoch) >= s.Number }

func (h *heads) add(s overlay.Stamp) {
	switch i, ok := h.place(s.Epoch); {
	case s.Number == 0:
	case ok:
		(*h)[i].number = max((*h)[i].number, s.Number)
	default:
		*h = slices.Insert(*h, i, head{s.Epoch, s.Number})
	}
}

// addAll takes what others know.
func (h *heads) addAll(of heads) {
	for _, o := range of {
		h.add(overlay.Stamp{Epoch: o.epoch, Number: o.number})
	}
}

// knowsAll reports whether all is known that others know.
func (h heads) knowsAll(of heads) bool {
	return !slices.ContainsFunc(of, func(o head) bool { return h.of(o.epoch) < o.number })
}

// inOrder makes heads of a list in any order: of an epoch that stands there twice the higher number counts.
func (h heads) inOrder() heads {
	slices.SortFunc(h, func(a, b head) int { return cmp.Or(b.epoch.Compare(a.epoch), cmp.Compare(b.number, a.number)) })
	return slices.CompactFunc(h, func(a, b head) bool { return a.epoch == b.epoch })
}

// bound forgets the lowest epochs beyond so many.
func (h *heads) bound(most int) {
	if len(*h) > most {
		*h = slices.Clone((*h)[:most])
	}
}
