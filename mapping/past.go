package mapping

import (
	"fmt"

	"ircbridge/chat"
	"ircbridge/mapping/wire"
	"ircbridge/overlay"
)

// past is one who held a name before: the end of a claim.
type past struct {
	owner  overlay.Stream
	number uint64 // of the claim
	person person // with the nick as he wrote it, without away text
	until  int64  // when the claim ended, Unix milliseconds by the keeper's clock
}

// maxPast bounds what a name remembers of its holders.
const maxPast = 10

// pastFromWire reads a former holder of the name.
func pastFromWire(w *wire.Past, name string) (past, error) {
	owner, err := sessionFromWire(w.GetOwner())
	if err != nil {
		return past{}, err
	}
	p, err := personFromWire(w.GetPerson())
	if err != nil {
		return past{}, err
	}
	p.away = ""
	if chat.Fold(p.nick) != name {
		return past{}, fmt.Errorf("%w: former holder %q of the name %q", errWire, chat.Cut(p.nick, 60), chat.Cut(name, 60))
	}
	return past{owner: owner, number: w.GetNumber(), person: p, until: w.GetUntilMs()}, nil
}
