package chat

import "time"

// Event is something that happened, one of the types below.
type Event interface{ event() }

// Joined: a user came into a channel this session is on.
type Joined struct {
	Channel string
	Who     Profile
	Status  Status // what he has from the start, shown as a mode change
	At      time.Time
}

// Parted: a user left a channel.
type Parted struct {
	Channel string
	Who     Profile
	Reason  string
	At      time.Time
}

// Quit: a user is gone from everywhere. It comes once, whatever the number of
// channels shared with him.
type Quit struct {
	Who    Profile
	Reason string
	At     time.Time
}

// Split: users are out of sight, all at one time, because a node died or the
// network is cut. To the receiver they have quit from everywhere. It comes when
// the time given to them is over (20 s and some): a shorter break shows nothing.
type Split struct {
	// Here and There are the ends of what is broken, as visible hosts: the
	// receiver's node, and of those out of sight the one that most of them
	// were on. The same for all users of one node.
	Here, There string
	Who         []Profile // those whom the receiver met in channels, sorted by folded nick
	At          time.Time
}

// Rejoined: users whom a Split took are back in the receiver's channels, and
// with them perhaps others, who came to the other side meanwhile.
type Rejoined struct {
	Here, There string    // as in Split
	Came        []Arrival // sorted by folded channel, then nick
	At          time.Time
}

// Without is the event for who has left a channel meanwhile; ok is false when
// nothing of it is left.
func (e Rejoined) Without(channel string) (rest Rejoined, ok bool) {
	rest = e
	rest.Came = nil
	for _, a := range e.Came {
		if !SameName(a.Channel, channel) {
			rest.Came = append(rest.Came, a)
		}
	}
	return rest, len(rest.Came) > 0
}

// Arrival is one user in one channel.
type Arrival struct {
	Channel string
	Member  // Status is what he has from the start, shown as a mode change
}

// Kicked: By removed Who, who may be the receiver himself.
type Kicked struct {
	Channel string
	Who     Profile
	By      string // mask, or the name of a node
	Reason  string
	At      time.Time
}

// Renamed: a user has a new nick; Who still shows the old one. Once, whatever
// the number of channels. For the receiver's own session it comes only when
// the network took his nick away; Why then says so.
type Renamed struct {
	Who  Profile
	Nick string
	Why  string
	At   time.Time
}

// AwayChanged: Who.Away is new.
type AwayChanged struct {
	Who     Profile
	Watched bool // the receiver watches his nick, and shares no channel with him
	At      time.Time
}

// ProfileChanged: the user name, host, account or real name of somebody whom
// one meets in a channel is new (nick and away text have events of their own).
// Once, whatever the number of channels.
type ProfileChanged struct {
	Old, New Profile
	Watched  bool // the receiver watches his nick, and shares no channel with him
	At       time.Time
}

// Presence says how a nick is that the receiver watches: somebody has it, or
// nobody has it any more. When it goes from one user to another, the event that
// it is free comes between.
type Presence struct {
	Nick   string // as its holder writes it; else as it was last known, or asked for
	Online bool
	Who    Profile // who has it, when Online
	At     time.Time
}

// MetadataChanged: metadata of a channel that the receiver is on is new, or of a user
// whom he meets in one, or whose nick he watches. Once, whatever the number of channels.
type MetadataChanged struct {
	Channel string     // "" when it is a user's
	Who     Profile    // the user, as he is now; zero for a channel
	Changes []MetaItem // by key
	Watched bool       // the receiver watches his nick, and shares no channel with him
	At      time.Time
}

// TopicChanged: a new topic.
type TopicChanged struct {
	Channel string
	Topic   Topic
}

// ModeChanged: what changed, in order.
type ModeChanged struct {
	Channel string
	By      string // mask, or the name of a node when nobody asked for it
	Changes []ModeChange
	At      time.Time
}

// ChannelRenamed: a channel that this session is on has another name, by which all
// goes that comes after.
type ChannelRenamed struct {
	Old, New string
	By       string // mask, or the name of a node when nobody asked for it
	Reason   string
	At       time.Time
}

// Effected: what this session asked for by SetTopic, SetMode, Kick, SetNick, or SetMetadata of a channel
// was done, here in the order of events: the changes that came before were
// there before it, and those that come after were made after it. It is queued before the
// method returns, whose result tells the rest; where that was an error, since nobody answered in time, what was done
// comes as the event that others are given, and not as this. Where nothing changed, or a new keeper's
// whole view showed it, there is none.
type Effected struct {
	// Kicked is, of a Kick, the nick of who is gone, as the others are shown it: he may have
	// taken another one than he was kicked by.
	Kicked string
}

// Message: somebody said something to a channel this session is on, or to its
// user. The receiver's own messages are Sent; only one that he sent to himself
// comes as both.
type Message struct {
	ID     string // the same on every node
	At     time.Time
	From   Profile
	Target string // channel as Channel.Name is, or the receiver's nick
	Notice bool
	Text   string
	More   []Line // the lines after the first
	Tags   map[string]string
	// TagsOnly: there is no text, and nothing to show to a person as a message.
	TagsOnly bool
	Least    Status // of the members of the channel who are shown it; 0: all are
}

// Address is the target with the sign of the least status.
func (m Message) Address() string { return m.Least.Sign() + m.Target }

// Redacted: what was said under an ID is to be shown no more. Who was not shown it
// before is not shown it at all.
type Redacted struct {
	Target string // channel as Channel.Name is, or the receiver's nick
	ID     string // of the message
	By     string // mask of who asked for it
	Reason string
	At     time.Time
}

// Sent is the outcome of a Send.
type Sent struct {
	Number uint64
	// Err is nil when the message was accepted by who keeps the channel, or
	// by the node of the user it was for.
	Err error
	// ID and At, as others see them, when Err is nil.
	ID string
	At time.Time
	// Message is what was sent, with the target as others see it.
	Message Outgoing
	// Joined: it went to a channel that the sender is on.
	Joined bool
	// Away is the away text of the receiving user.
	Away string
}

// Invited: By invited Target to a channel. The receiver is the invited user,
// or another operator, or half operator, of the channel than By. Each gets it once.
type Invited struct {
	Channel string
	By      Profile
	Nick    string // of Target
	Target  Profile
	At      time.Time
}

// Knocked: Who asks to be invited to a channel of which the receiver is an operator or
// half operator.
type Knocked struct {
	Channel string
	Who     Profile
	Text    string // why; may be ""
	At      time.Time
}

// ViewChanged is a large change of one channel in one event, after a heal or a
// new keeper: front-ends expand it, in the order of the fields.
type ViewChanged struct {
	Channel string
	By      string // the name of the node that found it
	Left    []Profile
	Came    []Member
	Modes   []ModeChange
	Topic   *Topic // nil when unchanged
	At      time.Time
}

// Notice: the node tells its user something, such as that it has lost its
// ring.
type Notice struct {
	Text string
	At   time.Time
}

func (Joined) event()          {}
func (Parted) event()          {}
func (Quit) event()            {}
func (Split) event()           {}
func (Rejoined) event()        {}
func (Kicked) event()          {}
func (Renamed) event()         {}
func (AwayChanged) event()     {}
func (ProfileChanged) event()  {}
func (Presence) event()        {}
func (MetadataChanged) event() {}
func (TopicChanged) event()    {}
func (ModeChanged) event()     {}
func (ChannelRenamed) event()  {}
func (Effected) event()        {}
func (Message) event()         {}
func (Redacted) event()        {}
func (Sent) event()            {}
func (Invited) event()         {}
func (Knocked) event()         {}
func (ViewChanged) event()     {}
func (Notice) event()          {}
