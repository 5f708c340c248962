package p2p

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"runtime"
	"testing"
	"testing/iotest"

	"google.golang.org/protobuf/proto"

	"ircbridge/host"
	"ircbridge/host/p2p/wire"
)

func seedFrames() [][]byte {
	return [][]byte{
		helloFrame(nil), helloFrame(func(h *wire.Hello) { h.Addresses = [][]byte{{4, 127, 0, 0, 1, 6, 0, 80}} }),
		frame(&wire.Request{Number: 1, Method: 2, Body: []byte("body")}), frame(&wire.Reply{Number: 1, Outcome: wire.Reply_REFUSED, Error: "no"}),
		frame(&wire.Note{Method: 3, Body: []byte("note")}), frame(&wire.OpenBulk{}), frame(&wire.Attach{Attempt: 1}),
		frame(&wire.Refusal{Reason: wire.Refusal_OTHER_OVERLAY, Text: "no"}),
		length(0), length(1 << 40), {0x80}, bytes.Repeat([]byte{0xff}, 12), []byte("GET / HTTP/1.1\r\n\r\n"),
	}
}

// FuzzReadFrame: no bytes make the reader panic or take more than it may, and
// what it takes is a frame that goes out and comes back as it is.
func FuzzReadFrame(f *testing.F) {
	for _, raw := range seedFrames() {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		br := bufio.NewReader(iotest.OneByteReader(bytes.NewReader(raw)))
		for range 100 {
			got, err := readFrame(br, maxHello, nil, 0)
			if err != nil {
				if errors.Is(err, io.EOF) && br.Buffered() > 0 {
					t.Errorf("end of input with %d bytes left", br.Buffered())
				}
				return
			}
			again, err := readFrame(bufio.NewReader(bytes.NewReader(encode(got))), 2*maxHello, nil, 0)
			if err != nil || !proto.Equal(got, again) {
				t.Fatalf("%v came back as %v, %v", got, again, err)
			}
		}
	})
}

// FuzzHello: a Hello that passes the check has what the rest relies on.
func FuzzHello(f *testing.F) {
	for _, raw := range seedFrames() {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		hello := new(wire.Hello)
		if proto.Unmarshal(raw, hello) != nil || checkHello(hello) != nil {
			return
		}
		for _, a := range addrTexts(hello.GetAddresses()) {
			if _, _, err := parseAddr(a); err != nil {
				t.Errorf("address %q of a good Hello: %v", a, err)
			}
		}
		if _, text := objection(hello, &wire.Hello{Overlay: "test", Major: 1}); text != cleanText(text, 1000) {
			t.Errorf("text for a log: %q", text)
		}
	})
}

// FuzzParseAddr: no text makes the address parser panic, and what it takes can be dialled.
func FuzzParseAddr(f *testing.F) {
	for _, text := range []string{"example.org:4747", "[::1]:4747", "127.0.0.1:1", "/ip4/1.2.3.4/tcp/5", "/ip6/::1/udp/1/quic-v1", "/dns/x/tcp/1", "::", "a/b:1", "/p2p/x", "[fe80::1%eth0]:5"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		addr, id, err := parseAddr(text)
		if err != nil {
			if !errors.Is(err, host.ErrBadAddress) {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		if !dialable(addr) || id != "" && !id.Valid() {
			t.Errorf("%q gave %v, %q", text, addr, id)
		}
	})
}

// A frame's length is believed only as far as bytes follow.
func TestLyingLengthTakesNoMemory(t *testing.T) {
	raw := append(length(host.MaxBulk), make([]byte, 1000)...)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const times = 50
	for range times {
		if _, err := readFrame(bufio.NewReader(bytes.NewReader(raw)), host.MaxBulk, nil, 0); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	allocated := (after.TotalAlloc - before.TotalAlloc) / times
	if allocated > 200<<10 {
		t.Errorf("%d bytes were allocated for 1,000 that came", allocated)
	}
}

func TestReadBodyInSteps(t *testing.T) {
	want := bytes.Repeat([]byte("0123456789"), 100_000)
	got, err := readBody(bufio.NewReader(bytes.NewReader(want)), len(want))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes of %d came, %v", len(got), len(want), err)
	}
}

func TestQueueBounds(t *testing.T) {
	q := newQueue(10, 3)
	for i, c := range []struct {
		size int
		want error
	}{{20, nil}, {1, errFull}} { // an empty queue takes any frame
		if err := q.tryPut(make([]byte, c.size)); !errors.Is(err, c.want) {
			t.Errorf("put %d: %v", i, err)
		}
	}
	if batch, ok := q.take(nil, 1); !ok || len(batch) != 1 || q.idle() {
		t.Fatalf("take: %d frames, %v, idle %v", len(batch), ok, q.idle())
	}
	for i, want := range []error{nil, nil, nil, errFull} {
		if err := q.tryPut([]byte{1}); !errors.Is(err, want) {
			t.Errorf("put %d of 1 byte: %v", i, err)
		}
	}
	done := make(chan error)
	go func() { done <- q.put([]byte{2}, nil) }()
	if batch, _ := q.take(nil, 2); len(batch) != 2 {
		t.Fatalf("take of 2 bytes: %d frames", len(batch))
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	go func() { done <- errors.Join(q.put([]byte{3}, nil), q.put([]byte{4}, nil)) }()
	for q.empty() {
	}
	q.close()
	if err := <-done; !errors.Is(err, errClosed) {
		t.Errorf("put into a closed queue: %v", err)
	}
	if _, ok := q.take(nil, 1); ok {
		t.Error("a closed queue gave something")
	}
}
