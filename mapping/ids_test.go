package mapping

import (
	"testing"

	"ircbridge/chat"
	"ircbridge/host"
)

func TestVisibleHostHasTheLengthThatIsAnnounced(t *testing.T) {
	for _, node := range []host.PeerID{"", "a", "12D3KooWQk8uGMeRiZ7E4YENqcycRM3r48VpXxctDc1aEcyemHnc"} {
		if got := VisibleHost(node); len(got) != chat.MaxHost {
			t.Errorf("%q has %d bytes", got, len(got))
		}
	}
}
