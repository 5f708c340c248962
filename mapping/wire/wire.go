// Package wire holds the messages of package mapping as protocol buffers. It
// is generated from mapping.proto, which documents them; package mapping
// checks and bounds what it decodes.
package wire

//go:generate protoc -I . --go_out=. --go_opt=paths=source_relative mapping.proto
