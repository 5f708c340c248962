package chat

// SendError is why a channel does not take a message: one of its modes. It wraps
// ErrCannotSend.
type SendError struct {
	Mode string // +n, +m, +C, +b, or "+b m:" for who is muted
}

// Error implements error.
func (e *SendError) Error() string { return ErrCannotSend.Error() + " (" + e.Mode + ")" }

// Unwrap makes errors.Is see ErrCannotSend.
func (e *SendError) Unwrap() error { return ErrCannotSend }
