package nodes

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

// Ports are taken below the range from which systems give ports to outgoing
// connections (32768 and above on Linux, 49152 elsewhere), so that a node that is
// started again finds its port free; and above that of package script, whose
// processes may run at the same time.
const (
	firstPort = 12_000
	lastPort  = 20_000
)

var usedPorts = struct {
	sync.Mutex
	m map[int]bool
}{m: map[int]bool{}}

// freePort finds a port that is free for TCP and UDP, and that this process has
// not given out before.
func freePort() (string, error) {
	usedPorts.Lock()
	defer usedPorts.Unlock()
	for range 1000 {
		port := firstPort + rand.IntN(lastPort-firstPort)
		if usedPorts.m[port] || !isFree(port) {
			continue
		}
		usedPorts.m[port] = true
		return strconv.Itoa(port), nil
	}
	return "", fmt.Errorf("no free port found from %d to %d", firstPort, lastPort)
}

func isFree(port int) bool {
	addr := ":" + strconv.Itoa(port)
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return false
	}
	l.Close()
	u, err := net.ListenPacket("udp", addr)
	if err != nil {
		return false
	}
	u.Close()
	return true
}
