// Package wire holds the ring's messages as they travel: generated from
// chord.proto, which documents each of them. Package chord bounds and checks
// everything that comes in (chord/contact.go, chord/messages.go); nothing else
// may use these types.
package wire

//go:generate protoc -I . --go_out=. --go_opt=paths=source_relative chord.proto
