package p2p

import (
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/zeroconf/v2"
)

// Multicast DNS: libp2p's own service for it (p2p/discovery/mdns) finds nobody
// on a machine without IPv6 and does not end there, and never looks at the
// interfaces again. So the library below it is used here, with the same records.

var (
	groupIPv4 = &net.UDPAddr{IP: net.IPv4(224, 0, 0, 251), Port: 5353}
	groupIPv6 = &net.UDPAddr{IP: net.ParseIP("ff02::fb"), Port: 5353}
)

const (
	lookAgain  = 30 * time.Second // at the interfaces
	recordsFor = 120              // seconds that others may keep what is announced
	maxEntries = 4096             // announcements that one search may remember
)

// place is what a search depends on: the interfaces with multicast, and what is announced.
type place struct {
	ifaces  []net.Interface
	family  zeroconf.IPType
	records []string
	ips     []string // for the A and AAAA records, which must be there though nobody reads them
	print   string   // differs when any of it does
}

// look finds out where this machine is now, without sending anything.
func (d *discovery) look() place {
	var p place
	p.records, p.ips = d.h.announced()
	all, err := net.Interfaces()
	if err != nil {
		return p
	}
	for _, i := range all {
		const want = net.FlagUp | net.FlagMulticast
		if i.Flags&want != want || i.Flags&net.FlagLoopback != 0 {
			continue
		}
		p.ifaces = append(p.ifaces, i)
		addrs, _ := i.Addrs()
		p.print += fmt.Sprintln(i.Index, i.Name, addrs)
	}
	p.print += strings.Join(p.records, "\n")
	return p
}

// usable keeps the interfaces on which the group can be joined, and says with which IP.
func (p *place) usable() error {
	var last error = errors.New("no network interface that is up has it")
	p.ifaces = slices.DeleteFunc(p.ifaces, func(i net.Interface) bool {
		joined := false
		for _, f := range []struct {
			ip    zeroconf.IPType
			name  string
			group *net.UDPAddr
		}{{zeroconf.IPv4, "udp4", groupIPv4}, {zeroconf.IPv6, "udp6", groupIPv6}} {
			c, err := net.ListenMulticastUDP(f.name, &i, f.group)
			if err != nil {
				last = err
				continue
			}
			_ = c.Close()
			p.family |= f.ip
			joined = true
		}
		return !joined
	})
	if len(p.ifaces) == 0 {
		return last
	}
	return nil
}

// run searches until the host stops, anew wherever this machine is moved.
func (d *discovery) run() {
	var now place
	stop := func() {}
	defer func() { stop() }()
	searched, complained := false, false
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	for {
		if p := d.look(); !searched || p.print != now.print {
			stop()
			var err error
			now = p
			stop, err = d.search(p)
			searched = err == nil
			if err != nil && !complained {
				d.h.log.Info("the local network is not searched yet: multicast is not possible", "reason", oneLine(err))
			}
			complained = complained || err != nil
		}
		select {
		case <-tick.C:
		case <-d.h.ctx.Done():
			return
		}
	}
}

// search announces this node and listens for others, until stop is called,
// which waits for the end of it all.
func (d *discovery) search(p place) (stop func(), err error) {
	nothing := func() {}
	if err := p.usable(); err != nil {
		return nothing, err
	}
	var server *zeroconf.Server
	if len(p.records) > 0 {
		name := strings.ToLower(crand.Text() + crand.Text()) // of 52 letters; a new one each time, as libp2p's specification asks
		if server, err = zeroconf.RegisterProxy(name, d.service, "local", groupIPv4.Port, name, p.ips, p.records, p.ifaces, zeroconf.TTL(recordsFor)); err != nil {
			return nothing, err
		}
	}
	ctx, cancel := context.WithCancel(d.h.ctx)
	ended := make(chan struct{})
	if !d.h.tasks.start("listen on local network", func() {
		defer close(ended)
		for ctx.Err() == nil {
			d.listen(ctx, p)
			pause := time.NewTimer(lookAgain)
			select {
			case <-pause.C:
			case <-ctx.Done():
			}
			pause.Stop()
		}
	}) {
		close(ended)
	}
	d.h.log.Debug("the local network is searched", "service", d.service, "announced", p.records)
	return func() {
		cancel()
		if server != nil {
			server.Shutdown()
		}
		<-ended
	}, nil
}

// listen asks who is there, and offers those who answer, until ctx is done, an
// error, or so many announcements that somebody must be making them up.
func (d *discovery) listen(ctx context.Context, p place) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	entries := make(chan *zeroconf.ServiceEntry, 64)
	browsed := make(chan error, 1)
	if !d.h.tasks.start("ask local network", func() {
		browsed <- zeroconf.Browse(ctx, d.service, "local", entries, zeroconf.SelectIPTraffic(p.family), zeroconf.SelectIfaces(p.ifaces))
	}) {
		return
	}
	in := entries
	for n := 0; ; {
		select {
		case e, ok := <-in:
			if !ok {
				in = nil
				continue
			}
			if n++; n > maxEntries {
				cancel() // what comes until the end is dropped
				continue
			}
			if got, err := understand(e.Text); err == nil && got.ID != d.h.id {
				d.offer(got)
			}
		case err := <-browsed: // entries is not closed after every error
			if err != nil && ctx.Err() == nil {
				d.h.log.Debug("asking the local network failed", "reason", oneLine(err))
			}
			return
		}
	}
}
