// Package wire holds the overlay's messages as protocol buffers. It is generated
// from overlay.proto, kinds.proto and copies.proto, which document them; package overlay checks
// what it decodes.
package wire

//go:generate protoc -I . --go_out=. --go_opt=paths=source_relative overlay.proto kinds.proto copies.proto relay.proto fan.proto
