package chat

// SendError is why a channel, or a user, does not take a message: one of its modes. It
// wraps ErrCannotSend.
type SendError struct {
	Mode string // of a channel +n, +m, +C, +b, or "+b m:" for who is muted; of a user +R
}

// Error implements error.
func (e *SendError) Error() string { return ErrCannotSend.Error() + " (" + e.Mode + ")" }

// Unwrap makes errors.Is see ErrCannotSend.
func (e *SendError) Unwrap() error { return ErrCannotSend }
