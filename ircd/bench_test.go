package ircd

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"ircbridge/chat"
	"ircbridge/chat/chattest"
)

// piped serves clients over in-memory connections.
func piped(b testing.TB) (*Server, func() net.Conn) {
	b.Helper()
	cfg := defaultConfig()
	cfg.Limits.MaxConnections = 100_000
	s, err := newServer(chat.Setup{Service: chattest.NewService(chattest.Options{})}, cfg)
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	b.Cleanup(func() { cancel(); wg.Wait() })
	return s, func() net.Conn {
		client, server := net.Pipe()
		wg.Go(func() { s.ServeConn(ctx, server) })
		return client
	}
}

// await reads until text has come.
func await(b testing.TB, nc net.Conn, text string) {
	b.Helper()
	buf := make([]byte, 0, 8192)
	for {
		n, err := nc.Read(buf[len(buf):cap(buf)])
		if err != nil {
			b.Fatal(err)
		}
		buf = buf[:len(buf)+n]
		if strings.Contains(string(buf), text) {
			return
		}
		if len(buf) > 4096 {
			buf = append(buf[:0], buf[len(buf)-64:]...)
		}
	}
}

// BenchmarkFanOut is one message to a channel with so many local members,
// until each has it. The members have asked for tags, or not.
func BenchmarkFanOut(b *testing.B) {
	for _, members := range []int{1, 100, 1000} {
		b.Run(fmt.Sprint(members), func(b *testing.B) { benchFanOut(b, members, "") })
		b.Run(fmt.Sprint(members, "tagged"), func(b *testing.B) {
			benchFanOut(b, members, "CAP REQ :server-time message-tags\r\nCAP END\r\n")
		})
	}
}

func benchFanOut(b *testing.B, members int, asked string) {
	_, connect := piped(b)
	var got sync.WaitGroup
	for i := range members {
		nc := connect()
		go io.WriteString(nc, fmt.Sprintf("%sNICK m%d\r\nUSER u 0 * :r\r\nJOIN #a\r\n", asked, i))
		await(b, nc, " 366 ")
		go countLines(nc, "PRIVMSG", &got)
	}
	talker := connect()
	go io.WriteString(talker, "NICK talker\r\nUSER u 0 * :r\r\n")
	await(b, talker, " 422 ")
	go io.Copy(io.Discard, talker)
	b.ReportAllocs()
	for b.Loop() {
		got.Add(members)
		io.WriteString(talker, "PRIVMSG #a :the quick brown fox jumps over the lazy dog\r\n")
		got.Wait()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*members), "ns/delivery")
}

// BenchmarkIdleClient is what a silent client keeps, in bytes of heap and stack:
// its connection and its in-memory session, after a collection. Pipes and
// the client's side of them, which a socket has not, are in it.
func BenchmarkIdleClient(b *testing.B) {
	_, connect := piped(b)
	inUse := func() uint64 {
		runtime.GC()
		runtime.GC() // stacks shrink, pools are emptied
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc + m.StackInuse
	}
	before := inUse()
	var clients []net.Conn
	for b.Loop() {
		nc := connect()
		clients = append(clients, nc)
		go io.WriteString(nc, fmt.Sprintf("NICK n%d\r\nUSER u 0 * :r\r\n", len(clients)))
		await(b, nc, " 422 ")
	}
	b.ReportMetric(float64(int64(inUse()-before))/float64(len(clients)), "bytes/client")
	runtime.KeepAlive(clients)
}

// countLines counts down for each line with text.
func countLines(nc net.Conn, text string, got *sync.WaitGroup) {
	buf := make([]byte, 64<<10)
	for {
		n, err := nc.Read(buf)
		if err != nil {
			return
		}
		for range bytes.Count(buf[:n], []byte(text)) {
			got.Done()
		}
	}
}

// BenchmarkRegistration is a client from its connection to the end of the
// welcome, and out again.
func BenchmarkRegistration(b *testing.B) {
	_, connect := piped(b)
	b.ReportAllocs()
	for b.Loop() {
		nc := connect()
		go io.WriteString(nc, "NICK n\r\nUSER u 0 * :r\r\nQUIT\r\n")
		await(b, nc, "ERROR ")
		nc.Close()
	}
}

// BenchmarkParse is the border and the parser behind it.
func BenchmarkParse(b *testing.B) {
	line := []byte("@+draft/reply=m1 PRIVMSG #channel :the quick brown fox jumps over the lazy dog")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parseLine(line); err != nil {
			b.Fatal(err)
		}
	}
}

var benchTime = time.Unix(1_700_000_000, 0)

// BenchmarkEncode is one line with its tags.
func BenchmarkEncode(b *testing.B) {
	c := &conn{caps: capServerTime | capMessageTags}
	var line []byte
	b.ReportAllocs()
	for b.Loop() {
		tags := encodeTags(c.caps, benchTime, "", "0123456789abcdef", nil)
		line = appendLine(line[:0], tags, "nick!user@0123456789ab.node.ircbridge", "PRIVMSG", []string{"#channel"}, "the quick brown fox jumps over the lazy dog", true)
	}
}
