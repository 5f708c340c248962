package chord

import "slices"

// Successor lists are plain values, made anew at each change and never changed
// in place: whoever copied the slice header out of the lock may keep reading.
//
// A list of self holds contacts in strict clockwise order from self, without
// self, at most r of them. It never wraps: in a ring of r nodes or fewer it
// ends before it would come back to self.

// follow makes the list that self has when its first successor is head, whose
// own list is next (Zave, 3.3: head, then next without its last). It stops
// where the order would break, which is where the ring has been gone round;
// what lies behind that place is returned as rest. r bounds the list.
func follow(self ID, head Contact, next []Contact, r int) (list, rest []Contact) {
	list = make([]Contact, 1, min(r, len(next)+1))
	list[0] = head
	for i, c := range next {
		if len(list) == r {
			return list, nil
		}
		if c.ID == self || !nearer(self, list[len(list)-1].ID, c.ID) {
			return list, next[i:]
		}
		list = append(list, c)
	}
	return list, nil
}

// insert puts c at its place in a list of self, or returns the list as it is
// when c is self, in it already, or beyond the r-th.
func insert(self ID, list []Contact, c Contact, r int) []Contact {
	if c.ID == self {
		return list
	}
	at, found := slices.BinarySearchFunc(list, c, func(a, b Contact) int {
		switch {
		case a.ID == b.ID:
			return 0
		case nearer(self, a.ID, b.ID):
			return -1
		}
		return 1
	})
	if found || at >= r {
		return list
	}
	out := make([]Contact, 0, min(r, len(list)+1))
	out = append(out, list[:at]...)
	out = append(out, c)
	return append(out, list[at:min(len(list), r-1)]...)
}

// renew replaces the contact with c's ID in list by c, whose addresses are
// newer.
func renew(list []Contact, c Contact) []Contact {
	i := indexOf(list, c.ID)
	if i < 0 || slices.Equal(list[i].Peer.Addrs, c.Peer.Addrs) || len(c.Peer.Addrs) == 0 {
		return list
	}
	out := slices.Clone(list)
	out[i] = c
	return out
}
