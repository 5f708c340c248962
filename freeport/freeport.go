// Package freeport gives ports to nodes that are started as processes, by
// scripted sessions and by the load generator. A port is free when it is
// given, for TCP and UDP, and given once only in a process; nothing holds it until a node
// binds it. It knows nothing of nodes.
package freeport

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

// Ports are taken below the range from which systems give ports to outgoing
// connections (32768 and above on Linux, 49152 elsewhere), so that a node that is
// started again finds its port free.
const (
	firstPort = 12_000
	lastPort  = 32_000
)

var usedPorts = struct {
	sync.Mutex
	m map[int]bool
}{m: map[int]bool{}}

// Take finds a port that is free for TCP and UDP on this machine, and that this
// process has not been given before. It is safe for use by many goroutines.
func Take() (string, error) {
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
