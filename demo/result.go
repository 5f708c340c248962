package demo

import (
	"fmt"
	"io"

	"ircbridge/history"
)

// writeTable writes what came out, for a person.
func writeTable(w io.Writer, r history.Report, problems []string) {
	fmt.Fprintln(w)
	row := func(what string, n int, means string) { fmt.Fprintf(w, "  %-12s%6d   %s\n", what, n, means) }
	row("sent", r.Sent, "messages by bots")
	row("accepted", r.Acked, "the sender was shown his message (echo-message)")
	row("refused", r.Refused, "not accepted within five seconds, and the sender was told")
	row("unanswered", r.Unanswered, "the sender's own node was killed first")
	row("delivered", r.Delivered, "shown to another bot")
	row("lost", r.Lost, "accepted, and not shown to a bot that was there")
	row("duplicated", r.Duplicated, "shown twice")
	row("reordered", r.Reordered+r.Diverged, "shown before an earlier one, or in another order than elsewhere")
	if r.Invented > 0 {
		row("invented", r.Invented, "shown, but never sent")
	}
	fmt.Fprintln(w)
	for _, v := range append(r.Violations, problems...) {
		fmt.Fprintf(w, "  WRONG: %s\n", v)
	}
	if r.OK() && len(problems) == 0 {
		fmt.Fprintln(w, "Nothing that was accepted was lost, shown twice, or shown in a wrong order.")
	}
}
