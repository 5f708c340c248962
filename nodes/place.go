package nodes

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
)

// Key is the key of a channel, whose name is in lower case, as docs/protocol.md has it. It is
// written down here a second time on purpose: a test that asks the program where a key
// belongs would believe it.
func Key(channel string) string {
	sum := sha256.Sum256([]byte("ircbridge/1\x00channel\x00" + channel))
	return hex.EncodeToString(sum[:20])
}

// Followers are those of the nodes to which a channel's key belongs, the one after the other would
// have it: the keeper first.
func Followers(all []*Node, channel string) []*Node {
	ring := slices.SortedFunc(slices.Values(all), func(a, b *Node) int { return strings.Compare(a.ID(), b.ID()) })
	at, _ := slices.BinarySearchFunc(ring, Key(channel), func(n *Node, key string) int { return strings.Compare(n.ID(), key) })
	if len(ring) == 0 {
		return nil
	}
	at %= len(ring)
	return slices.Concat(ring[at:], ring[:at])
}

// ChannelOf makes up a channel that a node keeps while all of the given run.
func ChannelOf(all []*Node, keeper *Node) string {
	for i := range 100_000 {
		name := fmt.Sprintf("#load%d", i)
		if f := Followers(all, name); len(f) > 0 && f[0] == keeper {
			return name
		}
	}
	return "#load" // its share is tiny; any channel will do
}

// Keeper asks this node who keeps a channel, and returns that node's ID.
func (n *Node) Keeper(ctx context.Context, channel string) (id string, err error) {
	args := append(append([]string{}, n.place.Prefix...), n.group.program, "lookup", "-json", "-data", n.dir, channel)
	out, err := exec.CommandContext(ctx, args[0], args[1:]...).Output()
	var trace struct {
		Keeper struct{ ID string }
	}
	if err == nil {
		err = json.Unmarshal(out, &trace)
	}
	if err != nil {
		return "", fmt.Errorf("asking %s who keeps %s: %w", n, channel, err)
	}
	return trace.Keeper.ID, nil
}
