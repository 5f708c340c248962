package bridge

import (
	"errors"
	"fmt"
)

// errTwinRuns is what users read as the reason when their node ends because
// another one has its key.
var errTwinRuns = errors.New("this node ends: another node runs with a copy of its key")

// twinError is what the owner of such a node reads. It is a mistake in the
// set-up that a restart does not mend, so service managers are not to make one.
func (p *parts) twinError(why error) error {
	return &ConfigError{fmt.Errorf("%w. Each node needs a data directory of its own: if %s is a copy, remove node.key from it, and this node gets a key of its own; if it was moved here, stop the node that runs elsewhere", why, p.dir.path)}
}

// vanish ends the host of a node that has a twin: nobody is told goodbye,
// because place, names and objects may be the other node's.
func (p *parts) vanish() { p.closeHost(leaveTime) }
