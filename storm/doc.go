// Package storm has several clients do at random what clients of an IRC server may do, sense and
// nonsense, and holds what each of them is shown against what must be true whatever was done:
//
//   - every labelled line is answered once, with its label, and every query with its end;
//   - batches are opened before they are used, and closed;
//   - nobody is shown what happens in a channel that he is not on, nor a message twice, nor somebody come to a
//     channel who is there, or leave it who is not;
//   - no line is too long, or not UTF-8, and no connection ends but by QUIT or KILL;
//   - when it is quiet again all members of a channel see the same members, modes, lists, metadata and
//     topic, which are as each was shown them last, and hear each other, and nobody else sees the members of a secret one; and
//     those are online of whom MONITOR says it, and said it last.
//
// The network may be damaged meanwhile (Config.Harm), and be mended before it is asked what all see.
//
// What is done comes from a program of bytes, so that a fuzzer can write it; the same bytes ask
// for the same, although a network may order it otherwise. The package knows servers from outside
// only: it needs connections to one network, with labeled-response and batch.
package storm
