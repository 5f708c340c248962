package bridge

import (
	"errors"
	"fmt"

	"ircbridge/host"
)

// Sever cuts the network between this node and the peers named by their peer
// IDs, and mends it to all others (p2p.Host.Sever): for a demonstration of
// what a ring does then. It is a call within the process, and nothing that a
// running node can be asked for.
func (n *Node) Sever(peers []string) error {
	var ids []host.PeerID
	for _, text := range peers {
		id, err := host.ParsePeerID(text)
		if err != nil {
			return fmt.Errorf("cutting the network: %w", err)
		}
		ids = append(ids, id)
	}
	n.mu.Lock()
	p := n.parts
	n.mu.Unlock()
	if p == nil {
		return errors.New("cutting the network: the node does not run")
	}
	p.host.Sever(ids)
	return nil
}
