package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"path/filepath"
)

// Call sends one request to the node that runs on a data directory and waits
// for the reply, until ctx is done. ErrNobody: no node runs there. Other
// errors say in one line what is in the way.
func Call(ctx context.Context, dataDir string, request, reply any) error {
	dataDir, err := filepath.Abs(dataDir)
	if err != nil {
		return err
	}
	path := locate(dataDir)
	if len(path) > maxPath {
		return fmt.Errorf("%w on the data directory %s", ErrNobody, dataDir)
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s answers its owner only; ask as the user who runs the node", path)
	case err != nil && ctx.Err() != nil:
		return fmt.Errorf("the node on %s did not answer: %w", dataDir, ctx.Err())
	case err != nil: // no socket, or one that a killed node left there
		return fmt.Errorf("%w on the data directory %s", ErrNobody, dataDir)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	text, err := json.Marshal(request)
	if err != nil {
		return err
	}
	if err = exchange(conn, text, reply); err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("the node on %s did not answer: %w", dataDir, err)
	}
	return nil
}

func exchange(conn net.Conn, request []byte, reply any) error {
	if _, err := conn.Write(append(request, '\n')); err != nil {
		return err
	}
	line, err := bufio.NewReader(io.LimitReader(conn, MaxReply)).ReadBytes('\n')
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(line, reply)
}
