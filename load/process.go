package load

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// idle measures what idle clients cost a server in memory.
func idle(ctx context.Context, r *run) (rep Report, err error) {
	rep.Title = fmt.Sprintf("idle: %d clients on %d servers", r.Clients, len(r.Servers))
	if len(r.PIDs) == 0 {
		return rep, errors.New("idle needs the server's process: add -pid PID, or use -local N")
	}
	before, err := resident(r.PIDs)
	if err != nil {
		return rep, err
	}
	cs := make([]*client, r.Clients)
	for i := range cs {
		cs[i] = r.client(r.server(i))
	}
	defer func() {
		for _, c := range cs {
			c.close()
		}
	}()
	if err := r.each(len(cs), func(i int) error { return dial(ctx, cs[i], 4<<10) }); err != nil {
		return rep, err
	}
	if err := sleep(ctx, max(r.After, 2*time.Second)); err != nil { // buffers of registration are given back
		return rep, err
	}
	after, err := resident(r.PIDs)
	if err != nil {
		return rep, err
	}
	for _, c := range cs {
		if err := c.why(); err != nil {
			return rep, fmt.Errorf("%s: %w", c.nick, err)
		}
	}
	rep.add("memory without clients", float64(before)/(1<<20), "MiB")
	rep.add("memory with clients", float64(after)/(1<<20), "MiB")
	rep.add("memory for each client", float64(after-before)/float64(len(cs))/(1<<10), "KiB")
	return rep, nil
}

// quiet measures what servers cost that nobody uses. The traffic is that of
// the whole loopback device.
func quiet(ctx context.Context, r *run) (rep Report, err error) {
	rep.Title = fmt.Sprintf("quiet: %d processes for %v, after %v", len(r.PIDs), r.For, r.After)
	if len(r.PIDs) == 0 {
		return rep, errors.New("quiet needs the server's process: add -pid PID, or use -local N")
	}
	if err := sleep(ctx, r.After); err != nil {
		return rep, err
	}
	bytes, packets, err := loopback()
	if err != nil {
		return rep, err
	}
	cpu, err := processorTime(r.PIDs)
	if err != nil {
		return rep, err
	}
	if err := sleep(ctx, r.For); err != nil {
		return rep, err
	}
	bytes2, packets2, err1 := loopback()
	cpu2, err2 := processorTime(r.PIDs)
	rss, err3 := resident(r.PIDs)
	if err := errors.Join(err1, err2, err3); err != nil {
		return rep, err
	}
	n, secs := float64(len(r.PIDs)), r.For.Seconds()
	rep.add("memory of each process", float64(rss)/n/(1<<20), "MiB")
	rep.add("processor time of each process", float64(cpu2-cpu)/float64(time.Millisecond)/n/secs, "ms a second")
	rep.add("loopback bytes for each process", float64(bytes2-bytes)/n/secs, "a second")
	rep.add("loopback packets for each process", float64(packets2-packets)/n/secs, "a second")
	return rep, nil
}

// resident is the memory (RSS) of the processes together, in bytes.
func resident(pids []int) (total int64, err error) {
	for _, pid := range pids {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
		if err != nil {
			return 0, fmt.Errorf("reading the memory of process %d (Linux only): %w", pid, err)
		}
		f := strings.Fields(string(b))
		if len(f) < 2 {
			return 0, fmt.Errorf("/proc/%d/statm: %q is not understood", pid, b)
		}
		pages, err := strconv.ParseInt(f[1], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("/proc/%d/statm: %w", pid, err)
		}
		total += pages * int64(os.Getpagesize())
	}
	return total, nil
}

// ticksPerSecond is USER_HZ, 100 on every Linux that Go runs on.
const ticksPerSecond = 100

// processorTime is what the processes together have used.
func processorTime(pids []int) (total time.Duration, err error) {
	for _, pid := range pids {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return 0, fmt.Errorf("reading the processor time of process %d (Linux only): %w", pid, err)
		}
		// The second field is a name in parentheses, in which anything may stand.
		f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
		if len(f) < 13 {
			return 0, fmt.Errorf("/proc/%d/stat: %q is not understood", pid, b)
		}
		for _, field := range f[11:13] { // utime, stime
			ticks, err := strconv.ParseInt(field, 10, 64)
			if err != nil {
				return 0, fmt.Errorf("/proc/%d/stat: %w", pid, err)
			}
			total += time.Duration(ticks) * time.Second / ticksPerSecond
		}
	}
	return total, nil
}

// loopback is what the device lo has carried.
func loopback() (bytes, packets int64, err error) {
	b, err := os.ReadFile("/proc/net/dev")
	if err != nil {
		return 0, 0, fmt.Errorf("reading the traffic (Linux only): %w", err)
	}
	for l := range strings.Lines(string(b)) {
		name, rest, _ := strings.Cut(strings.TrimSpace(l), ":")
		if f := strings.Fields(rest); name == "lo" && len(f) > 2 {
			bytes, err1 := strconv.ParseInt(f[0], 10, 64)
			packets, err2 := strconv.ParseInt(f[1], 10, 64)
			return bytes, packets, errors.Join(err1, err2)
		}
	}
	return 0, 0, errors.New("/proc/net/dev lists no device lo")
}
