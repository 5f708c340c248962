package mapping

import (
	"fmt"
	"slices"

	"ircbridge/chat"
	"ircbridge/mapping/wire"
)

// errorOf is what a refusal means in the words of the contract; nil for OK.
func errorOf(res *wire.Result) error {
	err := sentinelOf(res.GetCode())
	if mode := res.GetMode(); res.GetCode() == wire.Code_CANNOT_SEND && slices.Contains(silencers, mode) {
		return &chat.SendError{Mode: mode}
	}
	if n := string(res.GetName()); res.GetCode() == wire.Code_CHANNEL_RENAMED && chat.ValidChannel(n) {
		return &chat.ChannelRenamedError{Name: n}
	}
	if d := chat.Cut(res.GetDetail(), 200); d != "" && err != nil {
		return fmt.Errorf("%s: %w", d, err)
	}
	return err
}

// silencers are the modes by which a channel takes no message, or a user.
var silencers = []string{"+n", "+m", "+b", "+b m:", "+C", "+R"}

func sentinelOf(code wire.Code) (err error) {
	switch code {
	case wire.Code_OK:
	case wire.Code_NICK_IN_USE:
		err = chat.ErrNickInUse
	case wire.Code_NO_SUCH_CHANNEL:
		err = chat.ErrNoSuchChannel
	case wire.Code_NOT_ON_CHANNEL:
		err = chat.ErrNotOnChannel
	case wire.Code_NOT_IN_CHANNEL:
		err = chat.ErrNotInChannel
	case wire.Code_USER_ON_CHANNEL:
		err = chat.ErrUserOnChannel
	case wire.Code_ALREADY_JOINED:
		err = chat.ErrAlreadyJoined
	case wire.Code_NO_PRIVILEGES:
		err = chat.ErrNoPrivileges
	case wire.Code_BANNED:
		err = chat.ErrBanned
	case wire.Code_INVITE_ONLY:
		err = chat.ErrInviteOnly
	case wire.Code_NEED_ACCOUNT:
		err = chat.ErrNeedAccount
	case wire.Code_BAD_KEY:
		err = chat.ErrBadKey
	case wire.Code_CHANNEL_FULL:
		err = chat.ErrChannelFull
	case wire.Code_LIST_FULL:
		err = chat.ErrListFull
	case wire.Code_METADATA_FULL:
		err = chat.ErrMetadataFull
	case wire.Code_UNKNOWN_MODE:
		err = chat.ErrUnknownMode
	case wire.Code_BAD_MODE_PARAM:
		err = chat.ErrBadModeParam
	case wire.Code_ELSEWHERE: // nobody leads on twice
		err = chat.ErrNoSuchChannel
	case wire.Code_CHANNEL_RENAMED:
		err = chat.ErrChannelRenamed
	case wire.Code_CHANNEL_IN_USE:
		err = chat.ErrChannelInUse
	case wire.Code_RENAMED_LATELY:
		err = chat.ErrRenamedLately
	case wire.Code_CHANNEL_OPEN:
		err = chat.ErrChannelOpen
	case wire.Code_TOO_MANY_KNOCKS:
		err = chat.ErrTooManyKnocks
	case wire.Code_NO_SUCH_NICK, wire.Code_NOT_HERE:
		err = chat.ErrNoSuchNick
	case wire.Code_UNKNOWN_MESSAGE:
		err = chat.ErrUnknownMessage
	case wire.Code_NOT_YOUR_MESSAGE:
		err = chat.ErrNotYourMessage
	case wire.Code_MESSAGE_TOO_OLD:
		err = chat.ErrMessageTooOld
	default: // CANNOT_SEND, BAD_REQUEST, and codes of a later version
		err = chat.ErrCannotSend
	}
	return err
}
