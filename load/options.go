package load

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// Options say what a mode does. Zero values are not defaults; Defaults has
// them.
type Options struct {
	// Servers are the addresses, HOST:PORT. Senders use the first, receivers
	// the second, members and idle clients all in turn.
	Servers []string
	// AllowRemote allows servers that are not on this machine.
	AllowRemote bool
	// Count is the number of messages (registrations in register, messages for
	// each channel in channels).
	Count int
	// Clients is the number of members in fanout, of clients in idle.
	Clients int
	// Channels is the number of channels in channels.
	Channels int
	// Each is the number of channels that one client joins in channels.
	Each int
	// Parallel is how many clients register or join at one time.
	Parallel int
	// Rate is the number of messages a second; 0 sends one when the one
	// before has come. For message and private.
	Rate float64
	// Warmup is the number of messages that are sent first and not counted.
	Warmup int
	// Window is how many messages fanout has in flight.
	Window int
	// Size is the length of a message's text in bytes; shorter than the
	// numbers in it means no padding.
	Size int
	// Channel is the channel of message and fanout; "" makes up a name.
	Channel string
	// PIDs are the processes whose memory idle and quiet print.
	PIDs []int
	// Wait is how long to wait for one message, or one answer, before it is
	// taken for lost.
	Wait time.Duration
	// For is how long quiet watches, after it has let After pass (idle lets After pass too, and two seconds at least): servers have
	// more to do when they have just started.
	For, After time.Duration
}

// Defaults are modest: seconds on any machine.
func Defaults() Options {
	return Options{
		Count: 1000, Clients: 100, Channels: 100, Each: 50, Parallel: 16, Warmup: 200, Window: 100,
		Size: 64, Wait: 5 * time.Second, For: 20 * time.Second,
	}
}

// maxText is a text that fits into every server's line beside the longest
// prefix and target.
const maxText = 300

// check says what is out of bounds, in one line.
func (o *Options) check() error {
	for _, b := range []struct {
		name          string
		value, lo, hi int
	}{
		{"count", o.Count, 1, 1_000_000}, {"clients", o.Clients, 1, 50_000}, {"channels", o.Channels, 1, 20_000},
		{"each", o.Each, 1, 1000}, {"parallel", o.Parallel, 1, 1000}, {"warmup", o.Warmup, 0, 100_000},
		{"window", o.Window, 1, 100_000}, {"size", o.Size, 0, maxText}, {"rate", int(o.Rate), 0, 1_000_000},
	} {
		if b.value < b.lo || b.value > b.hi {
			return fmt.Errorf("%s is %d, and must be between %d and %d", b.name, b.value, b.lo, b.hi)
		}
	}
	switch {
	case !(o.Rate >= 0):
		return errors.New("rate must be 0 (one at a time) or a number of messages a second")
	case o.Wait <= 0 || o.Wait > time.Minute:
		return fmt.Errorf("wait is %v, and must be above 0 and at most 1m", o.Wait)
	case o.For <= 0 || o.For > 10*time.Minute:
		return fmt.Errorf("for is %v, and must be above 0 and at most 10m", o.For)
	case o.Channel != "" && (len(o.Channel) < 2 || len(o.Channel) > 50 || !strings.ContainsRune("#&+!", rune(o.Channel[0])) || strings.ContainsAny(o.Channel, " ,:\a\r\n\x00")):
		return fmt.Errorf("channel %q is no channel name", o.Channel)
	}
	return nil
}

// resolve replaces the names of servers by addresses, and refuses those that
// are not on this machine unless that is allowed.
func (o *Options) resolve(ctx context.Context) error {
	var servers []string
	for _, s := range o.Servers {
		name, port, err := net.SplitHostPort(s)
		if err != nil || port == "" {
			return fmt.Errorf("server %q is no address; write HOST:PORT, such as 127.0.0.1:6667", s)
		}
		ips, err := net.DefaultResolver.LookupIPAddr(ctx, name)
		if err != nil || len(ips) == 0 {
			return fmt.Errorf("looking up server %q: %w", s, err)
		}
		for _, ip := range ips {
			if !ip.IP.IsLoopback() && !o.AllowRemote {
				return fmt.Errorf("server %s is not on this machine (%s); load is put on other people's servers only with -allow-remote, and with their leave", s, ip.IP)
			}
		}
		servers = append(servers, net.JoinHostPort(ips[0].String(), port))
	}
	o.Servers = servers
	return nil
}
