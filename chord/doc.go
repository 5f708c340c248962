// Package chord is the ring: it gives every node a place among all nodes that
// run now, and finds for any key the one node that the key belongs to. It
// knows nothing of what is kept under keys.
package chord
