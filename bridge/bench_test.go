package bridge

import (
	"context"
	"testing"

	"ircbridge/chat"
)

// A message from a session on one node to a session on another, in a channel
// that one of the two keeps, one in flight: the whole way but IRC itself.
func BenchmarkMessageAcrossTwoNodes(b *testing.B) {
	one := startNode(b, "one")
	two := startNode(b, "two", one.Status().Node.Addresses[0])
	two.out.await(b, "Joined the ring through")
	ann, bob := one.user(b, "ann"), two.door
	joinChannel(b, ann, "#bench")
	listener, err := bob.service.Open(context.Background(), chat.User{Nick: "bob", Username: "bob", Realname: "bob"})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := listener.Join(context.Background(), "#bench", ""); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := ann.Send(chat.Outgoing{Target: "#bench", Text: "a line of the usual length, more or less"}); err != nil {
			b.Fatal(err)
		}
		for heard := false; !heard; {
			e, err := listener.Next(context.Background())
			if err != nil {
				b.Fatal(err)
			}
			_, heard = e.(chat.Message)
		}
	}
}
