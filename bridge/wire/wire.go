// Package wire holds the messages of a node's own questions as they travel:
// generated from reach.proto, which documents each message. Package bridge bounds
// and checks everything that comes in (bridge/reach.go); nothing else may use
// these types.
package wire

//go:generate protoc -I . --go_out=. --go_opt=paths=source_relative reach.proto
