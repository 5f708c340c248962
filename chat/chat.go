// Package chat is the contract between front-ends (what people connect to) and
// the backbone (what carries their words). A front-end opens a Session for
// each user and calls a method for each thing he does; a Service is anything
// that can carry that: package mapping on the overlay, or the in-memory one of
// chattest.
//
// It holds the words both sides share (users, channels, events, errors, the
// grammar of names) and nothing else: it imports the standard library only,
// does no I/O and starts nothing.
//
// The rules of the contract:
//
//  1. A method's result goes to its caller; events go to everybody else, never
//     both. There are two exceptions. Send queues and returns a number at once;
//     its outcome comes once, as a Sent event, in the channel's order. That
//     outcome is also the echo. And RenameChannel's caller gets the ChannelRenamed too,
//     because what follows it goes by the new name. Where a result stands among the
//     events, an Effected says.
//  2. All that one session does to one channel goes through one ordered queue:
//     a Part never overtakes a message. After Part returned (or a Kicked event
//     of oneself was given) no event of that membership follows.
//  3. Errors are the sentinels of this package, wrapped with %w. A front-end
//     turns them into its protocol in one place.
//  4. A slow session loses its session, never the node: its queue of events is
//     bounded (MaxQueuedBytes); a session that made no progress for
//     MaxStall over that bound is closed, and Next says why. What happens to
//     many at one time (Split, Rejoined, ViewChanged) is one event, which a
//     front-end expands.
//  5. Events are values that any number of sessions share: nobody changes one,
//     nor what it points to.
package chat

import (
	"context"
	"log/slog"
	"time"
)

// Bounds of a session's queue of events (rule 4).
const (
	MaxQueuedBytes = 4 << 20
	MaxStall       = 10 * time.Second
)

// Service opens sessions. Its methods are safe for use by many goroutines.
type Service interface {
	// Open lets a user in under u.Nick. It waits for the network to confirm
	// the nick only briefly (300 ms) and then lets him in all the same; should
	// the nick turn out to be another's, a Renamed event follows. Errors:
	// ErrBadNick, ErrNickInUse, ErrStopped.
	Open(ctx context.Context, u User) (Session, error)
	// Node describes the node that serves this session.
	Node() Node
	// Counts gives the figures of LUSERS as this node knows them. It does not
	// wait for the network: who counts the overlay does so beforehand.
	Counts() Counts
}

// User is who asks to be let in.
type User struct {
	Nick     string
	Username string // the part before the @; given by the user or his client
	Realname string
	Secure   bool     // his connection to the front-end is encrypted
	Meta     Metadata // what he has set before; it must be valid, and fit
}

// Node describes the node a session is on. Nothing in it is secret.
type Node struct {
	ID      string    // the node's ID on the ring, 40 hexadecimal digits
	Host    string    // the visible host of its users, also the default server name
	Started time.Time // of this run
}

// Counts are the figures of LUSERS: those of the whole overlay as they were
// counted last, and never less than what this node sees itself.
type Counts struct {
	LocalUsers    int // sessions on this node
	KnownUsers    int // sessions on all nodes
	KnownChannels int // channels with members, the secret ones too
	KnownNodes    int // nodes, this one included
}

// Profile is what everybody may know of a user. Profiles travel with events.
type Profile struct {
	Session  SessionID
	Nick     string
	Username string
	Host     string
	Realname string
	Server   string // visible host of his node
	// Account is the text form of the peer ID of his node, whose key proves
	// it: all users of one node share it. Never "" for a user on a node.
	Account string
	Away    string // "" when present
	Bot     bool   // he says that he is a program
	// Secure: his node says that he is connected to it over TLS.
	Secure bool
	Meta   Metadata
}

// Mask is nick!user@host.
func (p Profile) Mask() string { return p.Nick + "!" + p.Username + "@" + p.Host }

// SessionID names a session in the whole overlay, for as long as it lasts.
// It is opaque, comparable, and never shown to people.
type SessionID string

// Session is one user connected through one front-end. All methods may be
// called by many goroutines, except Next, which has one caller. Each method
// returns ctx.Err() when ctx ends first; what was asked then goes on and may
// still happen. All return ErrClosed after Close.
type Session interface {
	// Self is the user as others see him now.
	Self() Profile
	// SetNick takes a new nick and gives up the old one. Errors: ErrBadNick,
	// ErrNickInUse, ErrUnreachable.
	SetNick(ctx context.Context, nick string) error
	// SetAway sets the away text, or takes it back with "". It does not wait
	// for the network.
	SetAway(ctx context.Context, text string) error
	// SetRealname sets the real name, cut and cleaned as Open does. It does not
	// wait for the network.
	SetRealname(ctx context.Context, realname string) error

	// SetBot says whether the user is a program. It does not wait for the network.
	SetBot(ctx context.Context, bot bool) error
	// SetAccountsOnly says whether the user takes private messages from users with an account
	// only, and from himself. For others the outcome is a SendError with the mode +R; what they say to all users of
	// his node is shown to the rest of these. It does not wait for the network.
	SetAccountsOnly(ctx context.Context, only bool) error

	// SetMetadata changes keys of the user himself, or, where channel is not "", of a
	// channel that he is an operator of. What has no value is taken away; all changes are made, or
	// none. Of a channel it waits for the network. Errors: ErrBadMetadata, ErrMetadataFull, ErrNotOnChannel,
	// ErrNoPrivileges, ErrUnreachable.
	SetMetadata(ctx context.Context, channel string, changes []MetaItem) error

	// Join joins a channel, with its key if it has one, founding it if there
	// is none. Joining a channel one is in is ErrAlreadyJoined. Errors also:
	// ErrBadChannel, ErrBadKey, ErrBanned, ErrNeedAccount, ErrInviteOnly,
	// ErrChannelFull, ErrTooManyChannels, ErrChannelRenamed (a
	// ChannelRenamedError), ErrUnreachable.
	Join(ctx context.Context, channel, key string) (Channel, error)
	// Part leaves. Errors: ErrNotOnChannel. It is done here at once, whether
	// or not the keeper can be reached.
	Part(ctx context.Context, channel, reason string) error
	// Kick removes a member. Errors: ErrNotOnChannel, ErrNoPrivileges,
	// ErrNoSuchNick, ErrNotInChannel (the other one is not), ErrUnreachable.
	Kick(ctx context.Context, channel, nick, reason string) error
	// Invite invites nick: he gets an Invited event and may pass +i once.
	// Errors: ErrNotOnChannel, ErrNoPrivileges, ErrNoSuchNick,
	// ErrUserOnChannel, ErrUnreachable. The profile is the invited user's.
	Invite(ctx context.Context, nick, channel string) (Profile, error)
	// Knock asks the operators and half operators of a channel that is for invited users for an
	// invitation: each gets a Knocked event. The text, which may be "", is cut to
	// MaxReason bytes. Errors: ErrNoSuchChannel, ErrChannelOpen (it is not
	// invite only), ErrAlreadyJoined, ErrBanned, ErrTooManyKnocks,
	// ErrUnreachable.
	Knock(ctx context.Context, channel, text string) error
	// SetTopic sets the topic, "" to take it away. Errors: ErrNotOnChannel,
	// ErrNoPrivileges, ErrUnreachable.
	SetTopic(ctx context.Context, channel, topic string) error
	// SetMode asks for changes and returns those that took effect. Errors:
	// ErrNoPrivileges, ErrNoSuchNick, ErrNotInChannel, ErrUnknownMode,
	// ErrBadModeParam, ErrListFull, ErrNoSuchChannel, ErrUnreachable. What is
	// wrong with single changes are ModeErrors, joined; the others have still
	// been made.
	SetMode(ctx context.Context, channel string, changes []ModeChange) ([]ModeChange, error)
	// RenameChannel gives a channel another name; all else of it stays. All members
	// get a ChannelRenamed, the asker too, before it returns. The name under which the channel
	// was founded leads to it as long as it exists: what is said there arrives, and who
	// joins by it is told the new one. A change of case only is a change too.
	// Errors: ErrBadChannel (of name), ErrNotOnChannel, ErrNoPrivileges, ErrChannelInUse,
	// ErrRenamedLately (less than RenamePause ago), ErrUnreachable.
	RenameChannel(ctx context.Context, channel, name, reason string) error
	// Channel is the channel as this user may see it: from the view when he
	// is on it, without a round trip; else asked of its keeper, without the
	// members if it is secret. Errors: ErrNoSuchChannel, ErrUnreachable.
	Channel(ctx context.Context, channel string) (Channel, error)
	// Joined lists the channels this session is on, in the order of joining.
	Joined() []string
	// List lists the channels of the overlay that are not secret, or that
	// this user is on, sorted by name.
	List(ctx context.Context) ([]Listed, error)

	// Send queues a message and returns its number, counted from 1 in this
	// session, at once. The outcome comes as a Sent event with that number.
	// Errors now: ErrBadTarget, ErrQueueFull. Errors as an outcome:
	// ErrNoSuchNick, ErrNoSuchNode, ErrCannotSend (by a mode of the channel a
	// SendError), ErrUnreachable, ….
	Send(m Outgoing) (uint64, error)
	// Redact asks that what was said to target (a channel, a nick, or the ID of a
	// node) under a message ID be shown no more. In a channel it is for its
	// sender, or who has his nick on the same node when his session is over, or
	// for an operator; a private message is its sender's. Everybody
	// else whom it was shown gets a Redacted, which is also the result. Errors: ErrBadTarget,
	// ErrNotOnChannel, ErrNoSuchChannel, ErrNoSuchNick, ErrNoSuchNode, ErrUnknownMessage,
	// ErrNotYourMessage, ErrMessageTooOld, ErrUnreachable.
	Redact(ctx context.Context, target, id, reason string) (Redacted, error)
	// Flush waits until the outcomes of all that was sent before have been
	// put into this session's queue of events. It does not wait until Next
	// has handed them out: count Sent events for that.
	Flush(ctx context.Context) error

	// Lookup finds a user by nick, wherever he is. Errors: ErrNoSuchNick,
	// ErrUnreachable.
	Lookup(ctx context.Context, nick string) (Whois, error)
	// Whowas lists the last users who gave a nick up, the latest first, at
	// most max of them, or all that are remembered when max is 0 or less: the
	// last ten, for a day. What its present holder still has is not among them. It is
	// empty when there is none. Errors: ErrBadNick, ErrUnreachable.
	Whowas(ctx context.Context, nick string, max int) ([]Past, error)
	// Watch follows nicks, whoever has them and wherever he is, until Unwatch:
	// it returns how each of them is, in their order, and a Presence event tells when that
	// changes. Of who has one AwayChanged and ProfileChanged come too, once, whether or not a
	// channel is shared. It waits a second at most for the network: who is not found by then
	// is taken for offline, until an event says otherwise. What is no nickname is offline, and not
	// followed. Where MaxWatched nicks are watched, or this node watches too many, the
	// result has those for which there was room, with ErrWatchFull.
	Watch(ctx context.Context, nicks []string) ([]Presence, error)
	// Unwatch ends that for nicks, watched or not. No Presence of theirs follows. It
	// does not wait for the network.
	Unwatch(nicks []string)

	// Keeper says which node keeps a channel now. Errors: ErrBadChannel,
	// ErrUnreachable.
	Keeper(ctx context.Context, channel string) (Keeper, error)

	// Next waits for the next event. After the session ended, whoever ended
	// it, it returns an error that wraps ErrClosed and says why.
	Next(ctx context.Context) (Event, error)
	// Close ends the session: its user quits with the reason, as he asked. It
	// does not wait for the network.
	Close(reason string)
	// Vanish ends the session as Close does, but its user did not ask for it: his
	// connection was lost, or the node stops. Should he come back to a channel within an hour, by
	// the same nick on the same node, he has the status there that he had;
	// till then a channel that he was the last one on keeps its topic, modes and bans.
	Vanish(reason string)
}

// Taker is a Session whose events can be taken without somebody waiting in
// Next, so that a silent user costs his front-end no task, and many events cost
// one wake. A front-end finds it by assertion, and uses Next, or Notify and
// Take, never both.
type Taker interface {
	Session
	// Notify registers f, once, before the first Take. f is called when there
	// is something to take after there was nothing, and when the session has
	// ended, at once if that is so already. It is called under locks of the
	// service: it must neither block nor call the session.
	Notify(f func())
	// Take moves what waits into events, in order, as far as there is room, and
	// returns how many. Fewer than len(events) means that nothing is left, and
	// that f is called for what comes next. It does not block, and has one
	// caller at a time. After the session ended it returns the error of Next.
	Take(events []Event) (int, error)
}

// Channel is a channel as one user sees it.
type Channel struct {
	Name    string // as its founder wrote it, or who renamed it last
	Created time.Time
	Topic   Topic
	Modes   Modes
	Bans    []ListEntry // +b
	Excepts []ListEntry // +e: who is exempt from bans
	Invexes []ListEntry // +I: who needs no invitation
	Members []Member    // sorted by folded nick
	Meta    Metadata
	Secret  bool // +s and the asker is not on it: Topic, Members and lists are withheld
	Count   int  // members, also when they are withheld
}

// List is one of the channel's lists, by its letter of ListModes.
func (c Channel) List(letter byte) []ListEntry {
	switch letter {
	case 'b':
		return c.Bans
	case 'e':
		return c.Excepts
	case 'I':
		return c.Invexes
	}
	return nil
}

// Topic of a channel; Text is "" when none is set.
type Topic struct {
	Text string
	By   string // nick!user@host of who set it
	At   time.Time
}

// Modes of a channel that are set, without lists and statuses.
type Modes struct {
	InviteOnly bool   // +i
	Moderated  bool   // +m
	NoExternal bool   // +n
	TopicLock  bool   // +t
	Secret     bool   // +s
	NoCTCP     bool   // +C
	Registered bool   // +R: only users with an account may join
	Key        string // +k, "" when none; withheld ("*") from those not on the channel
	Limit      int    // +l, 0 when none
}

// ListEntry is an entry of a channel's list, such as a ban.
type ListEntry struct {
	Mask string
	By   string
	At   time.Time
}

// Member is a user in a channel.
type Member struct {
	Profile
	Status Status
}

// ModeChange is one change of one mode. Mode is a letter of o h v b e I C R i k l m
// n s t; Arg is the nick, mask, key or number, where the mode has one. A list mode
// without Arg is refused: it is a question, answered by Channel. Of the changes
// that took effect, Arg is what others see: the nick as it is written, the mask
// completed to nick!user@host, and "*" where a key was taken away.
type ModeChange struct {
	Add  bool
	Mode byte
	Arg  string
}

// Listed is one line of LIST.
type Listed struct {
	Name    string
	Topic   string
	TopicAt time.Time // when the topic was set; zero without one
	Created time.Time
	Count   int // members
}

// Whois is what Lookup finds.
type Whois struct {
	Profile
	Node     string   // the node's ID, 40 hexadecimal digits
	Channels []string // those that the asker may see, with the sign of his status in front
	SignOn   time.Time
	Idle     time.Duration
}

// Past is a user who had a nick before, as he was when he gave it up (but not
// away). Server is his node's visible host.
type Past struct {
	Profile
	Until time.Time // when he gave it up, or was gone
}

// Keeper says who keeps a channel.
type Keeper struct {
	Node  string // 40 hexadecimal digits
	Host  string // its visible host
	Self  bool   // it is the asker's own node
	Known bool   // the channel exists there
	Count int    // its members
}

// Outgoing is a message to send. Target is a channel, a nick, or the ID of a
// node (40 hexadecimal digits: to all its users). Text passes byte for byte.
type Outgoing struct {
	Target string
	Notice bool
	Text   string
	More   []Line            // the lines after the first, see ValidLines
	Tags   map[string]string // client-only tags, names with their +
	// TagsOnly: there are tags and no text, such as that somebody is typing. It is for those
	// who are there now: nobody is shown it later.
	TagsOnly bool
	// Least is the least status of the members of a channel who are shown the
	// message; 0: all are. The sender needs no status of his own, only be
	// allowed to speak.
	Least Status
}

// Address is the target with the sign of the least status.
func (m Outgoing) Address() string { return m.Least.Sign() + m.Target }

// Frontend lets people in: IRC, a console, later the web.
type Frontend interface {
	// Listen takes what the front-end needs (ports, the terminal), and says
	// at once what is wrong with it.
	Listen() error
	// Hints are lines for a person, after Listen: how to connect.
	Hints() []string
	// Serve lets people in until ctx is done, then says goodbye to them with
	// ctx's cause as the reason, and returns nil when the last of its
	// goroutines is gone. A front-end whose user asks the whole program to
	// end returns ErrExit.
	Serve(ctx context.Context) error
}

// Reloader is a Frontend whose configuration can change while it serves.
type Reloader interface {
	// Reload takes those keys of the front-end's table, read by decode as by
	// Setup.Decode, that can change without a restart; who is connected stays
	// so. later names the keys that have changed but need one. With an error
	// nothing has changed.
	Reload(decode func(v any) error) (later []string, err error)
}

// Setup is what a Factory makes a front-end of.
type Setup struct {
	Service Service
	// Decode reads the front-end's own table of the configuration, overridden
	// by flags, into v, on top of the defaults already in v. An unknown field
	// is an error that names file and line.
	Decode func(v any) error
	// Version of the program.
	Version string
	// DataDir is a folder of the front-end's own, for what it must keep over a
	// restart; "" when there is none. It need not exist: who uses it makes it,
	// for its owner only (mode 0700).
	DataDir string
	// Ask lets the node answer for itself, in lines for a person. Questions are
	// "status", "keeper #channel" and "help", which lists them. It returns nil
	// when nobody answers. Nil means that there is nobody to ask.
	Ask func(ctx context.Context, question string) []string
	// Reload has the whole program read its configuration again, as a signal does, and
	// returns what has changed but needs a restart. With an error nothing has
	// changed. It calls the Reload of every front-end, the caller's too. Nil means that this cannot be
	// asked for.
	Reload func() (later []string, err error)
	Log    *slog.Logger
}

// Factory makes a front-end. It starts nothing; (nil, nil) means that the
// configuration turns it off.
type Factory func(Setup) (Frontend, error)
