package chat

import "errors"

// What can go wrong, as a front-end must tell its user. All come wrapped with
// what was tried.
var (
	ErrClosed          = errors.New("session closed")
	ErrStopped         = errors.New("node is stopping")
	ErrExit            = errors.New("the user asked the program to end")
	ErrBadNick         = errors.New("not a nickname")
	ErrBadChannel      = errors.New("not a channel name")
	ErrBadTarget       = errors.New("neither a nickname nor a channel")
	ErrNickInUse       = errors.New("nickname is in use")
	ErrNoSuchNick      = errors.New("no such nickname")
	ErrNoSuchNode      = errors.New("no such node")
	ErrNoSuchChannel   = errors.New("no such channel")
	ErrNotOnChannel    = errors.New("you are not on that channel")
	ErrNotInChannel    = errors.New("the other user is not on that channel")
	ErrUserOnChannel   = errors.New("the other user is on that channel already")
	ErrAlreadyJoined   = errors.New("you are on that channel already")
	ErrNoPrivileges    = errors.New("you are not a channel operator")
	ErrCannotSend      = errors.New("the channel does not take your messages")
	ErrBanned          = errors.New("you are banned from that channel")
	ErrInviteOnly      = errors.New("the channel is for invited users")
	ErrNeedAccount     = errors.New("the channel is for users with an account")
	ErrBadKey          = errors.New("wrong channel key")
	ErrChannelFull     = errors.New("the channel is full")
	ErrTooManyChannels = errors.New("you are on too many channels")
	ErrChannelOpen     = errors.New("the channel is open: join it")
	ErrTooManyKnocks   = errors.New("too many knocks at that channel")
	ErrListFull        = errors.New("the channel's list is full")
	ErrUnknownMode     = errors.New("unknown mode")
	ErrBadModeParam    = errors.New("bad parameter of a mode")
	ErrQueueFull       = errors.New("too many messages wait to be sent")
	ErrWatchFull       = errors.New("no more nicknames can be watched")
	ErrUnreachable     = errors.New("the network did not answer")
)
