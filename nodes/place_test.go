package nodes

import (
	"strings"
	"testing"
)

// The node that keeps a channel is the one at or after the channel's key; those that
// follow it keep it when it is gone. The vector is that of docs/protocol.md.
func TestChannelsBelongToTheNextNode(t *testing.T) {
	if got, want := Key("#tea"), "9f67abfa718b5fe4aaa30c9802ca41523c0c3390"; got != want {
		t.Errorf("the key of #tea is %s, want %s", got, want)
	}
	low, high := &Node{id: strings.Repeat("4", 40)}, &Node{id: strings.Repeat("c", 40)}
	all := []*Node{high, low}
	for _, test := range []struct {
		keeper, next *Node
		fits         func(key string) bool
	}{
		{low, high, func(key string) bool { return key <= low.id || key > high.id }},
		{high, low, func(key string) bool { return key > low.id && key <= high.id }},
	} {
		name := ChannelOf(all, test.keeper)
		if !test.fits(Key(name)) {
			t.Errorf("got %q with key %s for %s", name, Key(name), test.keeper.id)
		}
		if f := Followers(all, name); len(f) != 2 || f[0] != test.keeper || f[1] != test.next {
			t.Errorf("%s is kept by %v", name, f)
		}
	}
	if f := Followers(nil, "#tea"); f != nil {
		t.Errorf("without nodes #tea is kept by %v", f)
	}
}
