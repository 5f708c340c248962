package main

import (
	"net"
	"os"
	"strconv"
	"time"
)

// manager is the service manager that started this process, if it wants to be
// told how it goes: systemd, or one that does as systemd (sd_notify(3),
// "Notes"): each datagram to the socket is a list of assignments. All of its
// methods do nothing when there is none.
type manager struct {
	conn net.Conn      // nil: nobody wants to be told
	feed time.Duration // how often the watchdog wants to hear; 0: not at all
}

func newManager() *manager {
	m := &manager{}
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return m
	}
	conn, err := net.Dial("unixgram", path) // Go knows "@" for abstract sockets
	if err != nil {
		return m
	}
	m.conn = conn
	// sd_watchdog_enabled(3): half the time, for this process only.
	usec, err := strconv.ParseInt(os.Getenv("WATCHDOG_USEC"), 10, 64)
	if pid := os.Getenv("WATCHDOG_PID"); err == nil && usec > 0 && (pid == "" || pid == strconv.Itoa(os.Getpid())) {
		m.feed = time.Duration(usec) * time.Microsecond / 2
	}
	return m
}

func (m *manager) tell(state string) {
	if m.conn != nil {
		_, _ = m.conn.Write([]byte(state)) // a manager that is gone wants nothing
	}
}

// watchdog ticks when it is time for WATCHDOG=1; never, when nobody waits.
func (m *manager) watchdog() *time.Ticker {
	if m.feed > 0 {
		return time.NewTicker(m.feed)
	}
	t := time.NewTicker(time.Hour)
	t.Stop()
	return t
}

func (m *manager) close() {
	if m.conn != nil {
		_ = m.conn.Close()
	}
}
