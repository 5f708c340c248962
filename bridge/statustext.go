package bridge

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

// maxPeerLines is how many peers that are no neighbours, and how many failures,
// are shown to a person.
const maxPeerLines = 20

// maxUserLines is how many successors a user is shown.
const maxUserLines = 4

// shortID is how much of a node ID people are shown: as in the visible host
// of its users.
const shortID = 12

// Text is the status for a person, line by line.
func (s Status) Text() string {
	var text strings.Builder
	t := tabwriter.NewWriter(&text, 0, 8, 2, ' ', 0)
	for _, row := range s.summary() {
		fmt.Fprintf(t, "%s:\t%s\n", row[0], row[1])
	}
	section(t, "Ring\tNode\tRound trip\tLink\tFor\tAddress\tProgram", s.ringRows())
	section(t, "Trying\t", s.tryingRows())
	section(t, "Failed lately\t", s.failedRows())
	_ = t.Flush() // a Builder takes all
	var trimmed strings.Builder
	for line := range strings.Lines(text.String()) {
		trimmed.WriteString(strings.Map(visible, strings.TrimRight(line, " \n")) + "\n")
	}
	return trimmed.String()
}

// visible makes what another node says of itself harmless to a terminal.
func visible(r rune) rune {
	if unicode.IsPrint(r) {
		return r
	}
	return '?'
}

// section writes a table below its head, unless it is empty.
func section(w io.Writer, head string, rows [][]string) {
	if len(rows) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s\n", head)
	for _, row := range rows {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
}

// summary is the node in rows of a word and what is to be said.
func (s Status) summary() [][2]string {
	n := s.Node
	return [][2]string{
		{"Node ID", n.ID},
		{"Peer ID", n.Peer},
		{"Overlay", fmt.Sprintf("%s, at %s", n.Overlay, orNone(n.Addresses))},
		{"Data", n.DataDir},
		{"Program", fmt.Sprintf("ircbridge %s, %s, %s", n.Version, n.Go, n.System)},
		{"Running", fmt.Sprintf("for %s, since %s; %s of memory", span(n.Now.Sub(n.Started)), n.Started.Format("2006-01-02 15:04:05"), mebibytes(n.Memory))},
		{"Ring", s.ringLine()},
		{"Keeps", s.keepsLine()},
		{"Disk", s.databaseLine(s.Database.Error)},
		{"Users", fmt.Sprintf("%d here%s; %s in %s on %s in the overlay, as counted last", s.Users.Here, s.frontends(), count(s.Users.Users, "user"), count(s.Users.Channels, "channel"), count(s.Users.Nodes, "node"))},
	}
}

// userText is the status for a user of the node, who need not be its owner: it
// names no address of others and no path of this machine.
func (s Status) userText() string {
	var text strings.Builder
	for _, row := range s.summary() {
		switch row[0] {
		case "Data":
			continue
		case "Overlay":
			row[1] = s.Node.Overlay
		case "Disk":
			row[1] = s.databaseLine("the owner's status says why") // the error itself names a path
		}
		fmt.Fprintf(&text, "%s: %s\n", row[0], row[1])
	}
	neighbour := func(role string, n Neighbour) {
		fmt.Fprintf(&text, "%s: node %s, round trip %s\n", role, short(n.ID), roundTrip(n.RoundTrip))
	}
	if p := s.Ring.Predecessor; p != nil {
		neighbour("Predecessor", *p)
	}
	for i, n := range s.Ring.Successors[:min(len(s.Ring.Successors), maxUserLines)] {
		neighbour(fmt.Sprintf("Successor %d", i+1), n)
	}
	return text.String()
}

func (s Status) ringLine() string {
	r := s.Ring
	switch {
	case !r.Member:
		return "none yet"
	case r.Alone:
		return "alone: no other node is in it"
	}
	before := "its predecessor"
	if r.Predecessor == nil {
		before = "no predecessor yet"
	}
	return fmt.Sprintf("%s and %s; %s in its table, kept fresh with %.0f of at most %d bytes a second",
		before, count(len(r.Successors), "successor"), count(r.Table.Contacts, "other node"), r.Table.Traffic, r.Table.Budget)
}

// frontends says through which front-ends users came, if there are more than
// one to choose from.
func (s Status) frontends() string {
	if len(s.Users.Sessions) < 2 {
		return ""
	}
	var list []string
	for _, name := range sortedKeys(s.Users.Sessions) {
		list = append(list, fmt.Sprintf("%s %d", name, s.Users.Sessions[name]))
	}
	return " (" + strings.Join(list, ", ") + ")"
}

func (s Status) keepsLine() string {
	k := s.Keeps
	return fmt.Sprintf("%s, %s, %s; copies of others': %d; each is meant to be on %s",
		count(k.Names, "name"), count(k.Channels, "channel"), count(k.Others, "other object"), k.Copies, count(k.OnNodes, "node"))
}

// databaseLine is how the database is; why is what is said of its error.
func (s Status) databaseLine(why string) string {
	d := s.Database
	line := fmt.Sprintf("%s, %s in a file of %s", count(d.Records, "record"), size(d.Bytes), size(d.File))
	switch {
	case d.Error != "" && d.Since != nil:
		line += fmt.Sprintf("; TAKES NOTHING for %s, %s wait in memory: %s", span(s.Node.Now.Sub(*d.Since)), size(int64(d.Waiting)), why)
	case d.Committed != nil:
		line += fmt.Sprintf("; all of it on the disk %s ago", span(s.Node.Now.Sub(*d.Committed)))
	}
	if n := len(d.Damaged); n > 0 {
		line += fmt.Sprintf("; %s moved aside beside it", count(n, "damaged file"))
	}
	return line
}

// ringRows are the neighbours and then the other peers.
func (s Status) ringRows() [][]string {
	var rows [][]string
	add := func(role string, n Neighbour) {
		row := []string{role, short(n.ID), roundTrip(n.RoundTrip), "none", "", strings.Join(firstOf(n.Addresses), ""), ""}
		for _, p := range s.Peers {
			if p.Peer == n.Peer {
				row = s.peerRow(role, p)
			}
		}
		rows = append(rows, row)
	}
	shown := map[string]bool{}
	for _, n := range s.Ring.Successors {
		shown[n.Peer] = true
	}
	pred := s.Ring.Predecessor
	if pred != nil && !shown[pred.Peer] {
		add("predecessor", *pred)
		shown[pred.Peer] = true
	}
	for i, n := range s.Ring.Successors {
		role := fmt.Sprintf("successor %d", i+1)
		if pred != nil && pred.Peer == n.Peer { // a small ring: its list goes all the way round
			role += ", predecessor"
		}
		add(role, n)
	}
	others := slices.DeleteFunc(slices.Clone(s.Peers), func(p PeerStatus) bool { return shown[p.Peer] })
	for i, p := range others {
		if i == maxPeerLines {
			return append(rows, []string{fmt.Sprintf("and %d more (-json lists all)", len(others)-i)})
		}
		rows = append(rows, s.peerRow("other", p))
	}
	return rows
}

func (s Status) peerRow(role string, p PeerStatus) []string {
	link := p.Transport + " out"
	if p.Inbound {
		link = p.Transport + " in"
	}
	return []string{role, short(p.ID), roundTrip(p.RoundTrip), link, span(s.Node.Now.Sub(p.Since)), p.Address, p.Program}
}

func (s Status) tryingRows() [][]string {
	var rows [][]string
	for _, j := range s.Trying.Join {
		if j.State == joinJoined || j.State == joinAnswers {
			continue
		}
		row := []string{j.Address, j.State}
		if !j.Next.IsZero() {
			row[1] += ", again in " + span(j.Next.Sub(s.Node.Now))
		}
		if j.Error != "" {
			row[1] += ": " + j.Error
		}
		rows = append(rows, row)
	}
	for _, d := range s.Trying.Dialling {
		rows = append(rows, []string{nameOf(d.ID, d.Address), "is being dialled for " + span(s.Node.Now.Sub(d.Since))})
	}
	return rows
}

func (s Status) failedRows() [][]string {
	var rows [][]string
	for _, f := range s.Trying.Failed[:min(len(s.Trying.Failed), maxPeerLines)] {
		rows = append(rows, []string{nameOf(f.ID, f.Address), span(s.Node.Now.Sub(f.At)) + " ago: " + f.Error})
	}
	return rows
}

// nameOf names a node that may be known by its ID, its address, or both.
func nameOf(id, address string) string { return strings.TrimSpace(short(id) + " " + address) }

func short(id string) string { return id[:min(len(id), shortID)] }

func firstOf(list []string) []string { return list[:min(len(list), 1)] }

func roundTrip(ms float64) string {
	if ms == 0 {
		return "unknown"
	}
	return fmt.Sprintf("%.1f ms", ms)
}

// count is a number of things in words.
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func mebibytes(n uint64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

// size is a number of bytes, small or large.
func size(n int64) string {
	if n < 1<<20 {
		return fmt.Sprintf("%d KiB", (n+1023)>>10)
	}
	return mebibytes(uint64(n))
}

// span is a duration as people say it, in its two largest units.
func span(d time.Duration) string {
	d = max(d, 0)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", d/time.Minute, d%time.Minute/time.Second)
	case d < 24*time.Hour:
		return fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%d d %d h", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
}
