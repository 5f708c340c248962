// Package e2e holds the end-to-end tests: scripted sessions (testdata/*.txt, in
// the format of docs/scripts.md) on real processes of the program, some of them on network
// namespaces (testdata/namespaces) or against a server that is not ours, and stock clients: irssi and WeeChat in
// terminals, and a bot on a library. It contains no other code.
//
// The program is built once for all tests. Sessions run beside each other, each with nodes, ports
// and an overlay of its own. E2E_LOG=DIR writes what happened in each session to
// DIR/SESSION.log.
package e2e
