//go:build !race

package ircd

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"sync"
	"testing"
)

// A message to a channel costs no memory for each member: its line is made once, and who writes it
// needs nothing new. (With the race detector pools drop things at random.)
func TestAMessageToManyAllocatesNothingForEach(t *testing.T) {
	const members, messages = 200, 50
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // it empties pools
	_, connect := piped(t)
	var got sync.WaitGroup
	for i := range members {
		nc := connect()
		go io.WriteString(nc, fmt.Sprintf("NICK m%d\r\nUSER u 0 * :r\r\nJOIN #a\r\n", i))
		await(t, nc, " 366 ")
		go countLines(nc, "PRIVMSG", &got)
	}
	talker := connect()
	go io.WriteString(talker, "NICK talker\r\nUSER u 0 * :r\r\n")
	await(t, talker, " 422 ")
	go io.Copy(io.Discard, talker)
	say := func() {
		got.Add(members)
		io.WriteString(talker, "PRIVMSG #a :the quick brown fox\r\n")
		got.Wait()
	}
	for range messages { // queues and pools get their room
		say()
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range messages {
		say()
	}
	runtime.ReadMemStats(&after)
	if each := float64(after.Mallocs-before.Mallocs) / (members * messages); each > 0.5 {
		t.Errorf("%.1f allocations for each delivery", each)
	}
}
