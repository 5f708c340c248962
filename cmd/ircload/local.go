package main

import (
	"context"
	"io"

	"ircbridge/load"
	"ircbridge/nodes"
)

// startNodes builds the program unless it is given, starts n nodes and waits
// until they are one ring.
func startNodes(ctx context.Context, program string, n int, progress io.Writer) (*nodes.Group, error) {
	group, err := nodes.New(ctx, nodes.Options{Program: program, Progress: progress})
	if err != nil {
		return nil, err
	}
	if err := group.Ring(ctx, n); err != nil {
		group.Close()
		return nil, err
	}
	return group, nil
}

// fill points a mode at the nodes: with three nodes or more, neither the sender nor the receiver is on
// the one that keeps the channel.
func fill(o *load.Options, group *nodes.Group) {
	all := group.Nodes()
	for _, n := range all {
		o.Servers = append(o.Servers, n.IRC())
		o.PIDs = append(o.PIDs, n.PID())
	}
	if o.Channel == "" {
		o.Channel = nodes.ChannelOf(all, all[len(all)-1])
	}
}
