package p2p

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"ircbridge/host/p2p/wire"
)

// errBroken marks what no honest peer does; such a peer is cut off.
var errBroken = errors.New("peer broke the protocol")

// encode is a frame as it travels: its length and its bytes.
func encode(f *wire.Frame) []byte {
	opts := proto.MarshalOptions{}
	size := opts.Size(f)
	buf := binary.AppendUvarint(make([]byte, 0, size+binary.MaxVarintLen32), uint64(size))
	opts.UseCachedSize = true
	buf, err := opts.MarshalAppend(buf, f)
	if err != nil {
		// Only a string that is no UTF-8 can do that, and frame makers exclude it.
		panic("p2p: encoding a frame: " + err.Error())
	}
	return buf
}

// A deadliner bounds how long a frame that has begun may take.
type deadliner interface{ SetReadDeadline(time.Time) error }

// readFrame reads one frame of at most limit bytes. A peer may be silent
// between frames for as long as it likes, but a frame that has begun must be
// complete within stall. It does not believe a length: memory grows with what arrives.
func readFrame(br *bufio.Reader, limit int, d deadliner, stall time.Duration) (*wire.Frame, error) {
	if _, err := br.Peek(1); err != nil {
		return nil, err
	}
	whole := false
	if head, _ := br.Peek(min(br.Buffered(), binary.MaxVarintLen64)); len(head) > 0 {
		n, k := binary.Uvarint(head)
		whole = k > 0 && n <= uint64(br.Buffered()-k)
	}
	if !whole && d != nil {
		if err := d.SetReadDeadline(time.Now().Add(stall)); err != nil {
			return nil, err
		}
	}
	size, err := readLength(br, limit)
	if err != nil {
		return nil, err
	}
	body, err := readBody(br, size)
	if err != nil {
		return nil, fmt.Errorf("in a frame of %d bytes: %w", size, err)
	}
	if !whole && d != nil {
		if err := d.SetReadDeadline(time.Time{}); err != nil {
			return nil, err
		}
	}
	return decode(body)
}

// readLength reads the length of a frame and holds it against limit.
func readLength(br *bufio.Reader, limit int) (int, error) {
	var size uint64
	for shift := 0; ; shift += 7 {
		b, err := br.ReadByte()
		if err != nil {
			return 0, fmt.Errorf("in the length of a frame: %w", err)
		}
		if size |= uint64(b&0x7f) << shift; size > uint64(limit) || shift > 28 {
			return 0, fmt.Errorf("%w: frame of %d bytes or more, the limit is %d", errBroken, size, limit)
		}
		if b < 0x80 {
			return int(size), nil
		}
	}
}

// readBody reads size bytes, in memory that grows as they come.
func readBody(br *bufio.Reader, size int) ([]byte, error) {
	const step = 64 << 10
	body := make([]byte, 0, min(size, step))
	for len(body) < size {
		at := len(body)
		n := min(size-at, max(at, step))
		body = slices.Grow(body, n)[:at+n]
		if _, err := io.ReadFull(br, body[at:]); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
	return body, nil
}

// decode reads the bytes of one frame, and checks that its kind is known.
func decode(body []byte) (*wire.Frame, error) {
	f := new(wire.Frame)
	if err := proto.Unmarshal(body, f); err != nil {
		return nil, fmt.Errorf("%w: frame of %d bytes: %w", errBroken, len(body), err)
	}
	if f.Kind == nil {
		return nil, fmt.Errorf("%w: frame of %d bytes of unknown kind", errBroken, len(body))
	}
	return f, nil
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

func encodeHello(hello *wire.Hello) []byte {
	return encode(&wire.Frame{Kind: &wire.Frame_Hello{Hello: hello}})
}

func requestFrame(number uint64, method uint32, body []byte) []byte {
	return encode(&wire.Frame{Kind: &wire.Frame_Request{Request: &wire.Request{Number: number, Method: method, Body: body}}})
}

func replyFrame(r *wire.Reply) []byte {
	r.Error = cleanText(r.Error, maxErrorText)
	return encode(&wire.Frame{Kind: &wire.Frame_Reply{Reply: r}})
}

func noteFrame(method uint32, body []byte) []byte {
	return encode(&wire.Frame{Kind: &wire.Frame_Note{Note: &wire.Note{Method: method, Body: body}}})
}
