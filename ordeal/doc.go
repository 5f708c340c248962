// Package ordeal puts a ring of real nodes, each a process of its own, through what happens to
// processes, while users on IRC clients talk through it; it measures how long the talk was
// disturbed, and judges with package history what the users sent and saw.
//
// # What happens
//
// As many users as there are nodes, one on each, with echo-message and labels, are in as many
// channels, each of which another node keeps. One of the channels, another one in each round, has most of the talk: Rate messages a
// second from all users together; the others have a tenth of that. In each round the fault
// strikes the node that keeps that channel, is undone some seconds later, and users whose
// connection ended come again, under their nicks, into all channels.
//
// # What is measured
//
// The time from the fault until a message to that channel is accepted that was sent after it: the
// first one of anybody ("again"), and the first one of the last of the users on
// nodes that were not struck ("again, all"). And of all messages by such users the time until their echo. A message
// that was on its way already is no sign of life: so only those count that were sent after
// the struck process had ended, and the time is counted from before the signal.
//
// # What is asked
//
// Nothing acknowledged is lost, nothing shown twice, each sender's order and one order for each channel
// kept, nobody seen to come who was there, or to go who was not, and in the end everybody in every channel sees the same
// people: the users. The times have marks. One order is not asked of messages that were on their way when a keeper
// was struck: it had told some members of them, and the next keeper may number them anew. Where all nodes start again, each is a ring of its own at first; until they are one, neither
// one order nor delivery to the others is asked, nor that comings and goings are shown once.
//
// Time and concurrency: Run blocks until all goroutines and processes that it
// started have ended. Each user has one goroutine that lives his life and reads what he receives, and one that writes.
//
// Source of the method: K. Kingsbury's Jepsen (jepsen.io): faults and clients beside each other, one
// history, and a check of it afterwards.
package ordeal
