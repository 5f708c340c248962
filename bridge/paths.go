package bridge

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// DefaultConfigPath is the configuration file that is read without -config:
// ircbridge/config.toml in the user's configuration directory, or "" when
// there is no such file.
func DefaultConfigPath() (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", nil // no home directory: no file in it either
	}
	path := filepath.Join(dir, "ircbridge", "config.toml")
	switch _, err := os.Stat(path); {
	case err == nil:
		return path, nil
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	default:
		return "", fmt.Errorf("%s: cannot be read (%w); check who may read it, or name another file with -config", path, cause(err))
	}
}

// DefaultDataDir is where a node keeps its data when it is told nothing:
// XDG_DATA_HOME/ircbridge or ~/.local/share/ircbridge, on macOS
// ~/Library/Application Support/ircbridge, on Windows %LocalAppData%\ircbridge.
func DefaultDataDir() (string, error) {
	return dataDirFor(runtime.GOOS, os.Getenv, os.UserHomeDir)
}

func dataDirFor(system string, env func(string) string, home func() (string, error)) (string, error) {
	if system == "windows" {
		if dir := env("LocalAppData"); dir != "" {
			return filepath.Join(dir, "ircbridge"), nil
		}
	}
	// The XDG base directory specification says that a path that is not
	// absolute is to be ignored.
	if dir := env("XDG_DATA_HOME"); filepath.IsAbs(dir) && system != "darwin" && system != "windows" {
		return filepath.Join(dir, "ircbridge"), nil
	}
	dir, err := home()
	if err != nil {
		return "", fmt.Errorf("no directory for data is known (%w); name one with -data DIR", err)
	}
	switch system {
	case "darwin":
		return filepath.Join(dir, "Library", "Application Support", "ircbridge"), nil
	case "windows":
		return filepath.Join(dir, "AppData", "Local", "ircbridge"), nil
	}
	return filepath.Join(dir, ".local", "share", "ircbridge"), nil
}
