package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"ircbridge/ircd"
)

// printHash reads a password and prints what stands for it in the configuration.
func printHash(args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 {
		return complain(stderr, statusWrong, errors.New("hash takes no arguments: the password is read from standard input, where nobody sees it in a list of processes"))
	}
	password, err := readPassword(os.Stdin, stderr)
	if err != nil {
		return complain(stderr, statusFailed, err)
	}
	hash, err := ircd.HashPassword(password)
	if err != nil {
		return complain(stderr, statusFailed, err)
	}
	fmt.Fprintln(stdout, hash)
	return statusOK
}

// readPassword reads one line; at a terminal twice, and without showing it.
func readPassword(in *os.File, prompt io.Writer) (string, error) {
	if !term.IsTerminal(int(in.Fd())) {
		line, err := bufio.NewReader(in).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", fmt.Errorf("cannot read the password: %w", err)
		}
		return strings.TrimRight(line, "\r\n"), nil
	}
	var typed [2]string
	for i, text := range []string{"Password: ", "The same again: "} {
		fmt.Fprint(prompt, text)
		line, err := term.ReadPassword(int(in.Fd()))
		fmt.Fprintln(prompt)
		if err != nil {
			return "", fmt.Errorf("cannot read the password: %w", err)
		}
		typed[i] = string(line)
	}
	if typed[0] != typed[1] {
		return "", errors.New("these were two passwords: try again")
	}
	return typed[0], nil
}
