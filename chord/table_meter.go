package chord

import "time"

const (
	// meterWindow is the time over which the cost of the table is measured.
	meterWindow = 10 * time.Second
	// burst is how many seconds' budget may be spent at once: a storm of joins
	// is no reason to thin the table out.
	burst = 30
)

// meter counts what the table costs, and holds what may be sent to the
// budget. Guarded by Ring.mu.
type meter struct {
	budget         int // bytes a second; 0: no table
	saved          int // bytes that may be sent at once; below 0 after a large message
	at             time.Time
	begin          time.Time // of the window
	sent, received int       // in it
	last           float64   // bytes a second in the window before
	spent          int       // bytes sent since the beginning
}

func (m *meter) init(budget int, now time.Time) {
	*m = meter{budget: budget, saved: burst * budget, at: now, begin: now}
}

// pass lets the time pass until now.
func (m *meter) pass(now time.Time) {
	if d := now.Sub(m.at); d > 0 {
		d = min(d, burst*time.Second)
		if gain := int(int64(m.budget) * int64(d) / int64(time.Second)); gain > 0 {
			m.saved, m.at = min(m.saved+gain, burst*m.budget), now
		}
	}
	if d := now.Sub(m.begin); d >= meterWindow {
		m.last = float64(max(m.sent, m.received)) / d.Seconds()
		m.sent, m.received, m.begin = 0, 0, now
	}
}

func (m *meter) send(n int, now time.Time) {
	m.pass(now)
	m.sent += n
	m.spent += n
	m.saved -= n
}

func (m *meter) receive(n int, now time.Time) {
	m.pass(now)
	m.received += n
}

// rate is bytes a second: of the window before, or of this one if it is more
// already.
func (m *meter) rate(now time.Time) float64 {
	m.pass(now)
	return max(m.last, float64(max(m.sent, m.received))/meterWindow.Seconds())
}

// wait is the time until something may be sent again.
func (m *meter) wait(now time.Time) time.Duration {
	m.pass(now)
	if m.saved > 0 || m.budget <= 0 {
		return 0
	}
	return time.Duration(int64(1-m.saved)*int64(time.Second)/int64(m.budget)) + time.Millisecond
}
