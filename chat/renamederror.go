package chat

// ChannelRenamedError says that a channel is not to be joined by the name given; it
// is an ErrChannelRenamed.
type ChannelRenamedError struct {
	Name string // that the channel has now
}

func (e *ChannelRenamedError) Error() string { return ErrChannelRenamed.Error() + ": " + e.Name }

// Unwrap makes it an ErrChannelRenamed.
func (e *ChannelRenamedError) Unwrap() error { return ErrChannelRenamed }
