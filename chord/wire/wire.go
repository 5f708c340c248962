// Package wire holds the ring's messages as they travel: generated from
// chord.proto, merge.proto and table.proto, which document each message. Package
// chord bounds and checks everything that comes in (chord/contact.go,
// chord/messages.go, chord/table_messages.go); nothing else may use these types.
package wire

//go:generate protoc -I . --go_out=. --go_opt=paths=source_relative chord.proto merge.proto table.proto
