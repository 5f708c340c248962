// Package ringsim runs whole rings, from chat sessions down to the links, in
// virtual time, lets faults happen to them, and judges what their users sent
// and saw. It stands behind the command ringsim, and behind the tests that run
// some hundred seeds.
//
// A run is made of a seed and a [Scenario]. The seed draws the size of the ring,
// the latencies, the users and what they do, and the schedule of faults (a
// plan); the same seed and scenario give the same run, to the byte, on every
// machine. A run has these parts:
//
//  1. A ring forms; users come, and join channels.
//  2. Faults happen as planned, while users talk, come, go, change names, topics
//     and modes, and kick each other.
//  3. The faults end: what was cut is mended, what was stopped goes on, and who
//     was killed has been started again, or never will be. It is measured how
//     long it takes until messages pass, and until all nodes agree.
//  4. It is quiet, and everything is checked.
//
// What is checked, and what is allowed: docs/simulator.md.
//
// What may be lost is decided from the plan and never from what came of it
// (excuse.go). The package is for tests and developers, and no part of the product.
package ringsim
