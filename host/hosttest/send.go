package hosttest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"ircbridge/host"
)

func sendScenarios() []scenario {
	return []scenario{
		{"SendInOrder", 3, sendInOrder},
		{"SendDials", 2, sendDials},
		{"SendSelf", 1, sendSelf},
		{"SendNeverBlocks", 2, sendNeverBlocks},
		{"SendToNobody", 2, sendToNobody},
	}
}

// inbox collects what note handlers got, by receiver and sender.
type inbox struct {
	mu      sync.Mutex
	got     map[string][]string // "receiver sender" -> texts
	running map[string]bool
	overlap bool
}

func newInbox() *inbox {
	return &inbox{got: make(map[string][]string), running: make(map[string]bool)}
}

func (b *inbox) setup(_ int, h host.Host) {
	h.HandleSend(note, func(from host.Peer, msg []byte) {
		key := string(h.Self().ID) + string(from.ID)
		b.mu.Lock()
		b.overlap = b.overlap || b.running[key]
		b.running[key] = true
		b.mu.Unlock()
		b.mu.Lock()
		b.got[key] = append(b.got[key], string(msg))
		b.running[key] = false
		b.mu.Unlock()
	})
	echoSetup(0, h)
}

func (b *inbox) of(at, from host.PeerID) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.got[string(at)+string(from)])
}

// send repeats while the queue is full.
func send(h host.Host, to host.Peer, text string) error {
	for {
		err := h.Send(to, note, []byte(text))
		if !errors.Is(err, host.ErrBusy) {
			return err
		}
		if err := h.Sleep(time.Millisecond); err != nil {
			return err
		}
	}
}

func sendInOrder() (func(int, host.Host), func(Env) error) {
	const n = 2000
	b := newInbox()
	return b.setup, func(e Env) error {
		to := e.Host(2).Self()
		for i := range 2 {
			if _, err := e.Host(i).Call(to, echo, nil, patience); err != nil {
				return err
			}
		}
		err := inTasks(e, []int{0, 1}, 1, func(h, _ host.Host, _ int) error {
			for k := range n {
				if err := send(h, to, fmt.Sprint(k)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		for i := range 2 {
			from := e.Host(i).Self().ID
			err := until(e.Host(0), fmt.Sprintf("all %d messages of host %d arrived", n, i), func() bool {
				return len(b.of(to.ID, from)) == n
			})
			got := b.of(to.ID, from)
			if err != nil {
				return fmt.Errorf("%w: %d arrived", err, len(got))
			}
			for k, text := range got {
				if text != fmt.Sprint(k) {
					return fmt.Errorf("host %d: message %s arrived in place %d", i, text, k)
				}
			}
		}
		if b.overlap {
			return errors.New("two messages of one sender were handled at once")
		}
		return nil
	}
}

func sendDials() (func(int, host.Host), func(Env) error) {
	b := newInbox()
	return b.setup, func(e Env) error {
		h, to := e.Host(0), e.Host(1).Self()
		for k := range 10 {
			if err := h.Send(to, note, []byte(fmt.Sprint(k))); err != nil {
				return fmt.Errorf("send without a connection: %w", err)
			}
		}
		err := until(h, "messages queued before the connection arrived", func() bool {
			return len(b.of(to.ID, h.Self().ID)) == 10
		})
		if got := b.of(to.ID, h.Self().ID); err == nil && !slices.IsSortedFunc(got, func(a, b string) int { return int(a[0]) - int(b[0]) }) {
			err = fmt.Errorf("arrived out of order: %v", got)
		}
		return err
	}
}

func sendSelf() (func(int, host.Host), func(Env) error) {
	b := newInbox()
	return b.setup, func(e Env) error {
		h := e.Host(0)
		const n = 300
		for k := range n {
			if err := send(h, h.Self(), fmt.Sprint(k)); err != nil {
				return err
			}
		}
		if err := until(h, "messages to oneself arrived", func() bool { return len(b.of(h.Self().ID, h.Self().ID)) == n }); err != nil {
			return err
		}
		for k, text := range b.of(h.Self().ID, h.Self().ID) {
			if text != fmt.Sprint(k) {
				return fmt.Errorf("message %s to oneself arrived in place %d", text, k)
			}
		}
		return nil
	}
}

// sendNeverBlocks fills the queue many times over: the only way out is
// ErrBusy, and afterwards the connection works on.
func sendNeverBlocks() (func(int, host.Host), func(Env) error) {
	b := newInbox()
	return b.setup, func(e Env) error {
		h, to := e.Host(0), e.Host(1).Self()
		msg := make([]byte, host.MaxFrame)
		start := h.Now()
		for range 200 {
			if err := h.Send(to, note, msg); err != nil && !errors.Is(err, host.ErrBusy) {
				return fmt.Errorf("send into a full queue: %w", err)
			}
		}
		if took := h.Now().Sub(start); took > patience {
			return fmt.Errorf("200 sends took %v", took)
		}
		_, err := h.Call(to, echo, nil, patience)
		return err
	}
}

func sendToNobody() (func(int, host.Host), func(Env) error) {
	b := newInbox()
	return b.setup, func(e Env) error {
		h, to := e.Host(0), e.Host(1).Self()
		// With no address to try, failing at once and losing the message are
		// both right; blocking or anything else is not.
		if err := h.Send(bare(to), note, nil); err != nil && !errors.Is(err, host.ErrUnreachable) {
			return fmt.Errorf("send to a stranger without addresses: %w", err)
		}
		e.Kill(1)
		if err := h.Send(to, note, nil); err != nil && !errors.Is(err, host.ErrUnreachable) {
			return fmt.Errorf("send to a dead host: %w", err)
		}
		_, err := h.Call(h.Self(), echo, nil, patience)
		return err
	}
}
