// Package wire is the generated code of the framing between two nodes
// (frame.proto, where each frame is described). It holds no behaviour.
package wire

//go:generate protoc -I . --go_out=. --go_opt=paths=source_relative frame.proto
