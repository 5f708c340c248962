package main

import (
	"bytes"
	"flag"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// The usage lines, of which completion is made, name every flag.
func TestUsageNamesEveryFlag(t *testing.T) {
	sets := map[string]*flag.FlagSet{"run": newRunFlags().set, "demo": newDemoFlags().set}
	for _, c := range subcommands() {
		if strings.HasPrefix(c.usage, statusUsage) {
			sets[c.name] = newQueryFlags(c.name).set
		}
	}
	for _, c := range subcommands() {
		set := sets[c.name]
		if set == nil {
			continue
		}
		var want []string
		set.VisitAll(func(f *flag.Flag) { want = append(want, "-"+f.Name) })
		var got []string
		for _, f := range c.flags() {
			name, _, _ := strings.Cut(f, "=")
			got = append(got, name)
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s: the usage line has %v, the flags are %v", c.name, got, want)
		}
	}
}

func TestUsageIsUnderstood(t *testing.T) {
	c := subcommand{usage: "[-config FILE] [-join PEER]... [-v] one|two NAME FILE..."}
	want := []argument{{"-config", "FILE"}, {"-join", "PEER"}, {"-v", ""}, {"", "one|two"}, {"", "NAME"}, {"", "FILE"}}
	if got := c.arguments(); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

// completion is the script for a shell, which must be there.
func completion(t *testing.T, shell string) string {
	t.Helper()
	if _, err := exec.LookPath(shell); err != nil {
		t.Skipf("there is no %s", shell)
	}
	var stdout, stderr bytes.Buffer
	if status := dispatch([]string{"completion", shell}, &stdout, &stderr); status != statusOK {
		t.Fatalf("status %d, %s", status, stderr.String())
	}
	return stdout.String()
}

// bash itself completes command lines with the script.
func TestBashCompletes(t *testing.T) {
	script := completion(t, "bash")
	dir := t.TempDir()
	for _, name := range []string{"a file", "another", "b"} {
		if out, err := exec.Command("touch", dir+"/"+name).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	tests := []struct{ line, want []string }{
		{[]string{"st"}, []string{"status"}},
		{[]string{"-con"}, []string{"-config", "-console"}},
		{[]string{"run", "-o"}, []string{"-overlay"}},
		{[]string{"status", "-"}, []string{"-data", "-config", "-json"}},
		{[]string{"status", "-j"}, []string{"-json"}},
		{[]string{"completion", ""}, []string{"bash", "zsh", "fish"}},
		{[]string{"-config", "a"}, []string{"a file", "another"}},
		{[]string{"script", "-v", "a"}, []string{"a file", "another"}},
		{[]string{"status", "-data", "a"}, nil}, // no directories
		{[]string{"-nick", "a"}, nil},
		{[]string{"help", ""}, nil},
	}
	for _, test := range tests {
		cmd := exec.Command("bash", "--norc", "-c", script+`
COMP_WORDS=(ircbridge "$@") COMP_CWORD=$#
_ircbridge
[ ${#COMPREPLY[@]} -eq 0 ] || printf '%s\n' "${COMPREPLY[@]}"`, "bash")
		cmd.Args = append(cmd.Args, test.line...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%q: %v: %s", test.line, err, out)
		}
		var got []string
		if text := strings.TrimSuffix(string(out), "\n"); text != "" {
			got = strings.Split(text, "\n")
		}
		slices.Sort(got)
		want := slices.Clone(test.want)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", test.line, got, want)
		}
	}
}

// The other shells take their script.
func TestShellsTakeTheirScript(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		t.Run(shell, func(t *testing.T) {
			script := completion(t, shell)
			cmd := exec.Command(shell, "-n")
			cmd.Stdin = strings.NewReader(script)
			if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
				t.Errorf("%v: %s", err, out)
			}
			for _, c := range subcommands() {
				if !strings.Contains(script, c.name) {
					t.Errorf("%s is missing", c.name)
				}
			}
		})
	}
}

func TestCompletionOfNoShell(t *testing.T) {
	for _, args := range [][]string{{"completion"}, {"completion", "csh"}, {"completion", "bash", "zsh"}} {
		var stdout, stderr bytes.Buffer
		if status := dispatch(args, &stdout, &stderr); status != statusWrong || stderr.String() != "ircbridge: completion needs the name of one shell: bash, zsh or fish\n" {
			t.Errorf("%q: status %d, %q", args, status, stderr.String())
		}
	}
}
