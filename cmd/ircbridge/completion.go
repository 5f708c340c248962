package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

const completionUsage = "bash|zsh|fish"

// printCompletion prints what makes a shell complete the words of this
// program's command lines. All of it comes from the table of subcommands.
func printCompletion(args []string, stdout, stderr io.Writer) int {
	shells := map[string]func(io.Writer){"bash": completeBash, "zsh": completeZsh, "fish": completeFish}
	if len(args) != 1 || shells[args[0]] == nil {
		return complain(stderr, statusWrong, fmt.Errorf("completion needs the name of one shell: bash, zsh or fish"))
	}
	shells[args[0]](stdout)
	return statusOK
}

// argument is a flag or a plain word of a usage line.
type argument struct {
	flag  string // with its hyphen, perhaps also with a value, as in -v=false; "" for a plain word
	value string // what is to be written, such as FILE; "" for a flag without
}

// arguments reads the usage line of a subcommand, as in
// "[-config FILE] [-join PEER]... [-v] NAME".
func (c subcommand) arguments() []argument {
	var list []argument
	for part := range strings.FieldsSeq(c.usage) {
		word := strings.Trim(strings.TrimSuffix(part, "..."), "[]")
		switch {
		case strings.HasPrefix(word, "-"):
			list = append(list, argument{flag: word})
		case len(list) > 0 && list[len(list)-1].flag != "" && strings.HasSuffix(strings.TrimSuffix(part, "..."), "]"):
			list[len(list)-1].value = word
		default:
			list = append(list, argument{value: word})
		}
	}
	return list
}

func (c subcommand) flags() (flags []string) {
	for _, a := range c.arguments() {
		if a.flag != "" {
			flags = append(flags, a.flag)
		}
	}
	return flags
}

// words are the values of an argument that can be listed, as in bash|zsh|fish.
func (a argument) words() []string {
	if strings.Contains(a.value, "|") {
		return strings.Split(a.value, "|")
	}
	return nil
}

// flagsTaking are the flags of all subcommands whose value is what; "" is any
// other value.
func flagsTaking(what string) (flags []string) {
	for _, c := range subcommands() {
		for _, a := range c.arguments() {
			value := a.value
			if value != "FILE" && value != "DIR" && value != "" {
				value = "?"
			}
			if a.flag != "" && value == what && !slices.Contains(flags, a.flag) {
				flags = append(flags, a.flag)
			}
		}
	}
	return flags
}

func completeBash(w io.Writer) {
	fmt.Fprint(w, `# Completion of ircbridge for bash. To use it: source <(ircbridge completion bash)
_ircbridge() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} cmd=run words= files=
	local IFS=$'\n'
	COMPREPLY=()
	case $prev in
`)
	fmt.Fprintf(w, "\t%s) COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n", strings.Join(flagsTaking("FILE"), "|"))
	fmt.Fprintf(w, "\t%s) COMPREPLY=($(compgen -d -- \"$cur\")); return ;;\n", strings.Join(flagsTaking("DIR"), "|"))
	fmt.Fprintf(w, "\t%s) return ;;\n", strings.Join(flagsTaking("?"), "|"))
	fmt.Fprint(w, "\tesac\n\t[[ $COMP_CWORD -gt 1 && ${COMP_WORDS[1]} != -* ]] && cmd=${COMP_WORDS[1]}\n\tcase $cmd in\n")
	for _, c := range subcommands() {
		words := c.flags()
		files := ""
		for _, a := range c.arguments() {
			words = append(words, a.words()...)
			if a.flag == "" && a.value == "FILE" {
				files = " files=1"
			}
		}
		fmt.Fprintf(w, "\t%s) words='%s'%s ;;\n", c.name, strings.Join(words, " "), files)
	}
	fmt.Fprintf(w, "\tesac\n\t[[ $COMP_CWORD -eq 1 ]] && words=\"$words %s\"\n", strings.Join(names(), " "))
	fmt.Fprint(w, `	COMPREPLY=($(compgen -W "${words// /$IFS}" -- "$cur"; [[ -n $files ]] && compgen -f -- "$cur"))
}
complete -o filenames -F _ircbridge ircbridge
`)
}

func completeZsh(w io.Writer) {
	fmt.Fprint(w, `#compdef ircbridge
# Completion of ircbridge for zsh. To use it: put this into a file _ircbridge in
# a directory of $fpath, or run: source <(ircbridge completion zsh)
_ircbridge() {
	local -a commands
	commands=(
`)
	for _, c := range subcommands() {
		fmt.Fprintf(w, "\t\t%s\n", quote(c.name+":"+c.help))
	}
	fmt.Fprint(w, `	)
	local cmd=run
	if (( CURRENT == 2 )); then
		[[ $words[2] == -* ]] || _describe command commands
	elif [[ $words[2] != -* ]]; then
		cmd=$words[2]
		shift words
		(( CURRENT-- ))
	fi
	case $cmd in
`)
	for _, c := range subcommands() {
		fmt.Fprintf(w, "\t%s) _arguments", c.name)
		for _, a := range c.arguments() {
			fmt.Fprintf(w, " %s", quote(a.zsh()))
		}
		fmt.Fprint(w, " ;;\n")
	}
	fmt.Fprint(w, `	esac
}
if [[ $funcstack[1] == _ircbridge ]]; then _ircbridge "$@"; else compdef _ircbridge ircbridge; fi
`)
}

// zsh is the argument as zsh's _arguments takes it.
func (a argument) zsh() string {
	action := " "
	switch {
	case a.value == "FILE":
		action = "_files"
	case a.value == "DIR":
		action = "_files -/"
	case a.words() != nil:
		action = "(" + strings.Join(a.words(), " ") + ")"
	}
	switch {
	case a.flag == "":
		return "*:" + strings.ReplaceAll(a.value, ":", `\:`) + ":" + action
	case a.value == "":
		return "*" + a.flag
	}
	return "*" + a.flag + ":" + strings.ReplaceAll(a.value, ":", `\:`) + ":" + action
}

func completeFish(w io.Writer) {
	fmt.Fprint(w, "# Completion of ircbridge for fish. To use it: ircbridge completion fish | source\ncomplete -c ircbridge -f\n")
	all := strings.Join(names(), " ")
	for _, c := range subcommands() {
		fmt.Fprintf(w, "complete -c ircbridge -n %s -a %s -d %s\n", quote("not __fish_seen_subcommand_from "+all), c.name, quote(c.help))
	}
	for _, c := range subcommands() {
		seen := "__fish_seen_subcommand_from " + c.name
		if c.name == "run" { // also without the word
			seen = "__fish_seen_subcommand_from run; or not __fish_seen_subcommand_from " + all
		}
		for _, a := range c.arguments() {
			line := "complete -c ircbridge -n " + quote(seen)
			if a.flag != "" {
				line += " -o " + strings.TrimPrefix(a.flag, "-")
			}
			switch {
			case a.value == "FILE":
				line += " -F"
			case a.value == "DIR":
				line += " -a '(__fish_complete_directories)'"
			case a.words() != nil:
				line += " -a " + quote(strings.Join(a.words(), " "))
			}
			if a.flag != "" && a.value != "" {
				line += " -r"
			}
			if a.flag != "" || a.value == "FILE" || a.words() != nil {
				fmt.Fprintln(w, line)
			}
		}
	}
}

// quote quotes a word for any of the three shells.
func quote(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }

// names are those of the subcommands.
func names() (list []string) {
	for _, c := range subcommands() {
		list = append(list, c.name)
	}
	return list
}
