package p2p

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"ircbridge/host"
	"ircbridge/host/p2p/wire"
)

func frame(k any) []byte {
	f := new(wire.Frame)
	switch k := k.(type) {
	case *wire.Request:
		f.Kind = &wire.Frame_Request{Request: k}
	case *wire.Reply:
		f.Kind = &wire.Frame_Reply{Reply: k}
	case *wire.Note:
		f.Kind = &wire.Frame_Note{Note: k}
	case *wire.OpenBulk:
		f.Kind = &wire.Frame_OpenBulk{OpenBulk: k}
	case *wire.Part:
		f.Kind = &wire.Frame_Part{Part: k}
	case *wire.Attach:
		f.Kind = &wire.Frame_Attach{Attach: k}
	case *wire.Refusal:
		f.Kind = &wire.Frame_Refusal{Refusal: k}
	default:
		panic(k)
	}
	return encode(f)
}

func length(n uint64, body ...byte) []byte { return append(binary.AppendUvarint(nil, n), body...) }

// stillServes checks that an honest peer notices nothing.
func stillServes(t *testing.T, n *node) {
	t.Helper()
	honest := startNode(t)
	if got, err := honest.Call(n.Self(), mEcho, []byte("x"), patience); err != nil || string(got) != "x" {
		t.Errorf("an honest peer got %q, %v", got, err)
	}
}

// A peer that breaks the handshake is cut off with one logged reason.
func TestCutOffBeforeHello(t *testing.T) {
	soon := inside(func(h *Host) { h.limits.greet = 200 * time.Millisecond })
	for _, c := range []struct {
		name   string
		send   []byte
		reason string
	}{
		{"silence", nil, "no Hello within"},
		{"half a Hello", helloFrame(nil)[:5], "no Hello within"},
		{"garbage", []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n" + strings.Repeat("x", 100)), "peer broke the protocol"},
		{"endless length", bytes.Repeat([]byte{0xff}, 20), "the limit is"},
		{"long Hello", length(maxHello + 1), "the limit is"},
		{"unknown kind", length(3, 0xf8, 0x07, 0x01), "unknown kind"},
		{"empty frame", length(0), "unknown kind"},
		{"request first", frame(&wire.Request{Number: 1, Method: 1}), "instead of Hello"},
		{"refusal first", frame(&wire.Refusal{}), "instead of Hello"},
		{"nameless overlay", helloFrame(func(h *wire.Hello) { h.Overlay = "" }), "breaks its bounds"},
		{"long overlay", helloFrame(func(h *wire.Hello) { h.Overlay = strings.Repeat("x", 65) }), "breaks its bounds"},
		{"overlay of two lines", helloFrame(func(h *wire.Hello) { h.Overlay = "a\nb" }), "breaks its bounds"},
		{"many abilities", helloFrame(func(h *wire.Hello) { h.Abilities = make([]string, 65) }), "breaks its bounds"},
		{"many addresses", helloFrame(func(h *wire.Hello) { h.Addresses = make([][]byte, 17) }), "breaks its bounds"},
		{"long address", helloFrame(func(h *wire.Hello) { h.Addresses = [][]byte{make([]byte, 129)} }), "address of 129 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := startNode(t, soon)
			s := newStranger(t, testKey(t))
			st := s.open(n, protoRequests)
			if len(c.send) == 0 {
				// The stream is negotiated lazily: the other side sees it with the first byte.
				s.write(st, helloFrame(nil)[:1])
			} else {
				s.write(st, c.send)
			}
			s.cutOffWith(n, st, c.reason)
			stillServes(t, n)
		})
	}
}

// The same after a good handshake.
func TestCutOffAfterHello(t *testing.T) {
	soon := inside(func(h *Host) { h.limits.stall = 200 * time.Millisecond })
	big := make([]byte, host.MaxFrame+1)
	for _, c := range []struct {
		name   string
		send   []byte
		reason string
	}{
		{"second Hello", helloFrame(nil), "out of place"},
		{"late refusal", frame(&wire.Refusal{}), "out of place"},
		{"attach", frame(&wire.Attach{}), "out of place"},
		{"asks the side that did not open", frame(&wire.OpenBulk{}), "out of place"},
		{"garbage", []byte{9, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, "peer broke the protocol"},
		{"unknown kind", length(3, 0xf8, 0x07, 0x01), "unknown kind"},
		{"long request", frame(&wire.Request{Number: 1, Method: 1, Body: big}), "request of"},
		{"long reply", frame(&wire.Reply{Number: 1, Body: big}), "reply of"},
		{"long note", frame(&wire.Note{Method: 3, Body: big}), "message of"},
		{"length beyond all bounds", length(1 << 40), "the limit is"},
		{"length that lies", length(host.MaxFrame, make([]byte, 100)...), "a frame took more than"},
		{"half a length", []byte{0x80}, "a frame took more than"},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := startNode(t, soon)
			s := newStranger(t, testKey(t))
			st, _ := s.greeted(n, nil)
			s.write(st, c.send)
			s.cutOffWith(n, st, c.reason)
			stillServes(t, n)
		})
	}
}

// A peer that may say nonsense within the protocol is answered, not cut off.
func TestTolerated(t *testing.T) {
	n := startNode(t)
	s := newStranger(t, testKey(t))
	st, br := s.greeted(n, func(h *wire.Hello) {
		h.Minor, h.Abilities, h.Addresses = 99, []string{"of tomorrow"}, [][]byte{{0xff}, nil}
	})
	s.write(st, frame(&wire.Reply{Number: 12345}))                            // of no request
	s.write(st, frame(&wire.Note{Method: 77}))                                // no such method
	s.write(st, frame(&wire.Note{Method: mEcho.Number}))                      // a call's method
	s.write(st, length(9, 0x1a, 4, 0x08, 0x05, 0x10, 0x4d, 0xf8, 0x07, 0x01)) // Request{5, 77} and an unknown field
	if r := s.read(br).GetReply(); r.GetNumber() != 5 || r.GetOutcome() != wire.Reply_REFUSED {
		t.Fatalf("request of an unknown method: %v", r)
	}
	s.write(st, frame(&wire.Request{Number: 6, Method: mEcho.Number, Body: []byte("x")}))
	if r := s.read(br).GetReply(); r.GetNumber() != 6 || r.GetOutcome() != wire.Reply_DONE || string(r.GetBody()) != "x" {
		t.Fatalf("echo: %v", r)
	}
	if c := n.log.count("cut off"); c != 0 {
		t.Error("was cut off")
	}
}

// A peer that floods with requests gets BUSY; its limit is not the others'.
func TestTooManyRequests(t *testing.T) {
	n := startNode(t, inside(func(h *Host) { h.limits.runningPeer = 8 }))
	s := newStranger(t, testKey(t))
	st, br := s.greeted(n, nil)
	for i := range 20 {
		s.write(st, frame(&wire.Request{Number: uint64(i), Method: mStall.Number}))
	}
	for range 12 {
		if r := s.read(br).GetReply(); r.GetOutcome() != wire.Reply_BUSY {
			t.Fatalf("over the limit: %v", r)
		}
	}
	stillServes(t, n)
	_ = st.Reset()
}

// A peer that sends requests and reads no answer costs bounded memory, holds
// up nobody, and is cut off when it takes nothing for the stall time.
func TestReadsNothing(t *testing.T) {
	n := startNode(t, inside(func(h *Host) { h.limits.stall = 500 * time.Millisecond }))
	s := newStranger(t, testKey(t))
	st, _ := s.greeted(n, nil)
	body := make([]byte, host.MaxFrame)
	_ = st.SetWriteDeadline(time.Now().Add(patience))
	for i := uint64(1); ; i++ {
		if _, err := st.Write(frame(&wire.Request{Number: i, Method: mEcho.Number, Body: body})); err != nil {
			break
		}
		if i > 5000 {
			t.Fatal("1.3 GB were taken from a peer that reads nothing")
		}
	}
	eventually(t, "the link ended", func() bool { return n.log.count("link to peer ended") == 1 })
	if n.log.count("took nothing") != 1 {
		t.Errorf("the reason is missing:\n%v", n.log)
	}
	stillServes(t, n)
}

// A bulk stream must belong to a link.
func TestBulkWithoutLink(t *testing.T) {
	n := startNode(t)
	s := newStranger(t, testKey(t))
	for _, prepare := range []func(){func() {}, func() { s.greeted(n, nil) }} {
		prepare()
		st := s.open(n, protoBulk)
		s.write(st, frame(&wire.Attach{Attempt: 99}))
		_ = st.SetReadDeadline(time.Now().Add(patience))
		if _, err := st.Read(make([]byte, 1)); err == nil || isTimeout(err) {
			t.Errorf("a bulk stream of no link was taken: %v", err)
		}
	}
	stillServes(t, n)
}

// The bulk stream has its own limits, and a lie on it ends the link.
func TestBulkLies(t *testing.T) {
	n := startNode(t)
	s := newStranger(t, testKey(t))
	s.greeted(n, nil)
	st := s.open(n, protoBulk)
	s.write(st, frame(&wire.Attach{Attempt: 1}))
	s.write(st, length(host.MaxBulk+frameMargin+1))
	s.cutOffWith(n, st, "the limit is")
}

// Handshakes at a time are bounded for each peer.
func TestManyHandshakes(t *testing.T) {
	n := startNode(t)
	s := newStranger(t, testKey(t))
	refused := 0
	for range 3 * n.limits.greetsPeer {
		st := s.open(n, protoRequests)
		_, _ = st.Write(helloFrame(nil)[:1])
	}
	eventually(t, "some were refused", func() bool { refused = n.log.count("too many handshakes"); return refused >= 2*n.limits.greetsPeer })
	stillServes(t, n)
}

// A thousand connections that say nothing hold up nobody.
func TestThousandSilentConnections(t *testing.T) {
	n := startNode(t)
	at := strings.Split(n.Self().Addrs[0], "/")
	var conns []net.Conn
	t.Cleanup(func() {
		for _, c := range conns {
			_ = c.Close()
		}
	})
	for i := range 1000 {
		c, err := net.Dial("tcp", net.JoinHostPort(at[2], at[4]))
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		conns = append(conns, c)
	}
	start := time.Now()
	stillServes(t, n)
	if took := time.Since(start); took > soon {
		t.Errorf("an honest peer waited %v", took)
	}
	fmt.Fprintln(conns[0], "hello?")
}
