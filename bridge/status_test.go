package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ircbridge/chat"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares text with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != strings.ReplaceAll(string(want), "\r\n", "\n") {
		t.Errorf("%s (go test -update rewrites it): got\n%s\nwant\n%s", path, got, want)
	}
}

// exampleStatus is a node with everything that can be said of one.
func exampleStatus() Status {
	now := time.Date(2026, 11, 20, 16, 30, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	id := func(c string) string { return strings.Repeat(c, 40) }
	peer := func(c string) string { return "12D3KooW" + strings.Repeat(c, 44) }
	return Status{
		Node: NodeStatus{
			ID: id("a"), Peer: peer("A"), Overlay: "tea", Addresses: []string{"198.51.100.7:4747", "192.0.2.7:4747"},
			DataDir: "/home/ann/.local/share/ircbridge", Version: "0.1.0", Go: "go1.26.0", System: "linux/amd64",
			Started: ago(26*time.Hour + 3*time.Minute), Now: now, Memory: 31 << 20, Tasks: 210,
		},
		Ring: RingStatus{
			Member:      true,
			Predecessor: &Neighbour{ID: id("9"), Peer: peer("9"), Addresses: []string{"192.0.2.9:4747"}, RoundTrip: 0.74},
			Successors: []Neighbour{
				{ID: id("b"), Peer: peer("B"), Addresses: []string{"192.0.2.8:4747", "192.0.2.8:4748"}, RoundTrip: 23.456},
				{ID: id("c"), Peer: peer("C"), Addresses: []string{"203.0.113.3:4747"}},
			},
			Table: TableStatus{Contacts: 17, Traffic: 123.4, Budget: 1024},
		},
		Keeps: KeepsStatus{Names: 3, Channels: 1, Others: 2, Copies: 9, OnNodes: 3},
		Database: DatabaseStatus{
			Path: "/home/ann/.local/share/ircbridge/store.db", Layout: 2, Records: 41, Bytes: 300 << 10, File: 1 << 20, Waiting: 7 << 20,
			Committed: new(ago(3 * time.Minute)), Error: "write database: write /home/ann/.local/share/ircbridge/store.db: no space left on device", Since: new(ago(3 * time.Minute)),
			Damaged: []string{"/home/ann/.local/share/ircbridge/store.db.damaged-20261101T101112.000"},
		},
		Users: UsersStatus{Here: 2, Sessions: map[string]int{"irc": 1, "console": 1}, Users: 40, Channels: 12, Nodes: 18},
		Peers: []PeerStatus{
			{ID: id("9"), Peer: peer("9"), Address: "192.0.2.9:51234", Transport: "tcp", Inbound: true, Since: ago(65 * time.Minute), Program: "ircbridge-0.1.0", RoundTrip: 0.74},
			{ID: id("b"), Peer: peer("B"), Address: "192.0.2.8:4747", Transport: "quic", Since: ago(5 * time.Second), Program: "ircbridge-0.1.0", RoundTrip: 23.456},
			{ID: id("d"), Peer: peer("D"), Address: "[2001:db8::4]:4747", Transport: "tcp", Since: ago(90 * time.Second), Program: "ircbridge-0.1.1", RoundTrip: 101},
		},
		Trying: TryingStatus{
			Join: []JoinStatus{
				{Address: "192.0.2.8:4747", State: joinJoined},
				{Address: "chat.example:4747", State: joinWaiting, Error: "dial chat.example:4747: peer unreachable: connection refused", Next: now.Add(12 * time.Second)},
			},
			Dialling: []DialStatus{{ID: id("e"), Peer: peer("E"), Since: ago(3 * time.Second)}},
			Failed:   []FailedDial{{ID: id("f"), Peer: peer("F"), Address: "192.0.2.99:4747", Error: "peer unreachable: no route to host", At: ago(2 * time.Minute)}},
		},
	}
}

func TestStatusForAPerson(t *testing.T) {
	alone := exampleStatus()
	alone.Ring = RingStatus{Member: true, Alone: true}
	alone.Peers, alone.Trying = nil, TryingStatus{}
	alone.Node.Started = alone.Node.Now.Add(-61 * time.Second)
	alone.Keeps = KeepsStatus{OnNodes: 1}
	alone.Database = DatabaseStatus{Records: 1, File: 32 << 10, Committed: new(alone.Node.Now.Add(-time.Second))}

	two := exampleStatus() // a ring of two: one neighbour on both sides
	two.Ring.Successors = two.Ring.Successors[:1]
	two.Ring.Predecessor = &two.Ring.Successors[0]
	two.Peers, two.Trying = two.Peers[1:2], TryingStatus{}

	many := exampleStatus()
	for range 30 {
		many.Peers = append(many.Peers, many.Peers[2])
	}
	many.Peers[3].Program = "\u009b31mred \u202ereversed"
	joining := exampleStatus()
	joining.Ring = RingStatus{}
	joining.Peers = nil
	joining.Trying.Join[0].State = joinDialling

	for name, s := range map[string]Status{"full": exampleStatus(), "alone": alone, "two": two, "many": many, "joining": joining} {
		t.Run(name, func(t *testing.T) {
			golden(t, "status-"+name+".txt", s.Text())
		})
	}
}

// A user may sit elsewhere, and is told no address and no path.
func TestStatusForAUser(t *testing.T) {
	s := exampleStatus()
	for range 20 {
		s.Ring.Successors = append(s.Ring.Successors, s.Ring.Successors[1])
	}
	golden(t, "status-user.txt", s.userText())
}

// The names of the fields are a promise to programs that read them.
func TestStatusForAProgram(t *testing.T) {
	text, err := json.MarshalIndent(exampleStatus(), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "status.json", string(text)+"\n")
}

// A running node answers over its socket, until it leaves.
func TestQueryStatus(t *testing.T) {
	a := startNode(t, "a")
	b := startNode(t, "b", a.Status().Node.Addresses[0])
	b.out.await(t, "Joined the ring")
	ann := b.user(t, "ann")
	joinChannel(t, ann, keptBy(t, ann))

	s, err := QueryStatus(t.Context(), b.dir)
	if err != nil {
		t.Fatal(err)
	}
	if s.Node.ID != b.Status().Node.ID || s.Node.Version != "test" || s.Node.DataDir != b.dir || s.Node.Memory == 0 || s.Node.Now.Before(s.Node.Started) {
		t.Errorf("node: %+v", s.Node)
	}
	if !s.Ring.Member || s.Ring.Alone || len(s.Ring.Successors) != 1 || s.Ring.Successors[0].ID != a.Status().Node.ID || s.Ring.Table.Budget == 0 {
		t.Errorf("ring: %+v", s.Ring)
	}
	if s.Keeps.Channels != 1 || s.Users.Here != 1 || len(s.Users.Sessions) != 1 || s.Users.Sessions["door"] != 1 {
		t.Errorf("keeps %+v, users %+v", s.Keeps, s.Users)
	}
	if j := s.Trying.Join; len(j) != 1 || j[0].State != joinJoined {
		t.Errorf("join: %+v", j)
	}
	ann.Close("bye")
	ann.Close("again")
	if s, err = QueryStatus(t.Context(), b.dir); err != nil || s.Users.Sessions["door"] != 0 {
		t.Errorf("after ann went: %v, %v", s.Users.Sessions, err)
	}
	b.leave(t)
	if _, err := QueryStatus(t.Context(), b.dir); !errors.Is(err, ErrNobody) {
		t.Errorf("after it left: %v", err)
	}
}

func TestUnknownQuestions(t *testing.T) {
	a := startNode(t, "a")
	for _, q := range []string{"", "stauts"} {
		_, err := query(t.Context(), a.dir, request{Ask: q})
		if err == nil || !strings.Contains(err.Error(), "does not know the question") {
			t.Errorf("%q: %v", q, err)
		}
	}
}

// What a user of the node can ask it (chat.Setup.Ask).
func TestAskedByAUser(t *testing.T) {
	var ask func(context.Context, string) []string
	n := startFrontend(t, func(s chat.Setup) { ask = s.Ask })
	for question, want := range map[string]string{
		"status":      "Node ID: " + n.Status().Node.ID,
		" STATUS ":    "Node ID: " + n.Status().Node.ID,
		"keeper #Tea": "#Tea is kept by this node, " + n.Status().Node.ID + " (" + n.Status().Node.ID[:shortID] + ".node.ircbridge).",
		"keeper ann":  "ann is kept by this node",
		"keeper":      "Of which channel or nick?",
		"keeper #a b": "Of which channel or nick?",
		"keeper #":    "\"#\" is neither a nick nor a channel",
		"invite":      "ircbridge -join 127.0.0.1:",
		"help":        "status: ",
		"":            "status: ",
		"hello":       `I do not know that; "help" lists what I know.`,
	} {
		got := ask(t.Context(), question)
		if len(got) == 0 || !strings.HasPrefix(got[0], want) {
			t.Errorf("%q: got %q, want %q…", question, got, want)
		}
		for _, line := range got {
			if line == "" || strings.ContainsAny(line, "\r\n") {
				t.Errorf("%q: a line is %q", question, line)
			}
		}
	}
}

// Where no socket can be, the node runs all the same, and says so.
func TestANodeThatCannotBeAsked(t *testing.T) {
	long := filepath.Join(t.TempDir(), strings.Repeat("d", 120))
	if err := os.Mkdir(long, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", long)
	t.Setenv("TMP", long)
	n := startWith(t, "n", Overrides{DataDir: filepath.Join(long, "node"), Listen: []string{"127.0.0.1:0"}})
	n.out.await(t, "ircbridge status and its like cannot ask this node: control socket: ")
	if _, err := QueryStatus(t.Context(), n.dir); !errors.Is(err, ErrNobody) {
		t.Errorf("got %v", err)
	}
	n.leave(t)
}
