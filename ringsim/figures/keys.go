package figures

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"

	"ircbridge/chord"
	"ircbridge/host"
)

const (
	// keysEach is how many keys there are for each node.
	keysEach = 100
	// keySets is how many sets of nodes keys are laid into.
	keySets = 20
)

// balance is how evenly keys lie, in the mean of some sets of nodes.
type balance struct {
	fullest float64 // keys of the node with most, as a multiple of the mean
	p99     float64 // of the node above which one in a hundred is
	median  float64
	empty   float64 // the share of nodes without any key
}

// balanceOf lays keys into sets of so many nodes. A node's ID comes of its key,
// as ever; each has one place.
func balanceOf(seed uint64, size int) (b balance) {
	for set := range keySets {
		ids := make([]chord.ID, size)
		for i := range ids {
			s := hashOf(seed, uint64(set), 0, uint64(i))
			ids[i] = chord.NodeID(host.PeerIDFromKey(ed25519.NewKeyFromSeed(s[:]).Public().(ed25519.PublicKey)))
		}
		slices.SortFunc(ids, chord.ID.Compare)
		counts := make([]int, size)
		for k := range size * keysEach {
			s := hashOf(seed, uint64(set), 1, uint64(k))
			at, _ := slices.BinarySearchFunc(ids, chord.ID(s[:20]), chord.ID.Compare)
			counts[at%size]++
		}
		slices.Sort(counts)
		b.fullest += float64(counts[size-1]) / keysEach / keySets
		b.p99 += float64(counts[size*99/100]) / keysEach / keySets
		b.median += float64(counts[size/2]) / keysEach / keySets
		none, _ := slices.BinarySearch(counts, 1)
		b.empty += float64(none) / float64(size) / keySets
	}
	return b
}

func hashOf(parts ...uint64) [32]byte {
	var text []byte
	for _, p := range parts {
		text = binary.BigEndian.AppendUint64(text, p)
	}
	return sha256.Sum256(text)
}

func printKeys(o options) error {
	w := newTable(o.stdout)
	fmt.Fprintf(w, "%d keys a node, in %d rings; of the mean\tfullest\t99 in 100 have at most\tmedian\twithout a key\t\n", keysEach, keySets)
	for _, size := range o.sizes {
		b := balanceOf(o.seed, size)
		fmt.Fprintf(w, "%d nodes\t%.1f\t%.1f\t%.2f\t%.1f %%\t\n", size, b.fullest, b.p99, b.median, 100*b.empty)
	}
	return w.Flush()
}
