"""A bot as people write them: on the library irc of Debian's python3-irc.

bot.py HOST PORT NICK CHANNEL... joins the channels, and answers there and in
private: !who says who is there, with @ and + as it knows them, !ops counts the
operators it sees, and !whois NICK asks the server. Whom it finds without a
voice when it is an operator, it voices.
"""

import sys

import irc.bot


class Bot(irc.bot.SingleServerIRCBot):
    def __init__(self, host, port, nick, channels):
        super().__init__([(host, int(port))], nick, "a bot")
        self.wanted = channels
        self.asked = None  # where the answer to a whois goes

    def on_welcome(self, connection, event):
        for channel in self.wanted:
            connection.join(channel)

    def on_nicknameinuse(self, connection, event):
        connection.nick(connection.get_nickname() + "_")

    def on_join(self, connection, event):
        nick = event.source.nick
        me = connection.get_nickname()
        if nick != me and self.channels[event.target].is_oper(me):
            connection.mode(event.target, "+v " + nick)

    def on_pubmsg(self, connection, event):
        self.answer(connection, event.target, event.arguments[0])

    def on_privmsg(self, connection, event):
        self.answer(connection, event.source.nick, event.arguments[0])

    def answer(self, connection, to, text):
        command, _, rest = text.partition(" ")
        if command == "!who":
            for name in sorted(self.channels):
                connection.privmsg(to, name + ": " + " ".join(self.members(name)))
        elif command == "!ops":
            for name in sorted(self.channels):
                connection.privmsg(to, "%s has %d operators" % (name, len(list(self.channels[name].opers()))))
        elif command == "!whois":
            self.asked = to
            connection.whois([rest])

    def members(self, name):
        channel = self.channels[name]
        for nick in sorted(channel.users()):
            yield ("@" if channel.is_oper(nick) else "+" if channel.is_voiced(nick) else "") + nick

    def on_whoisuser(self, connection, event):
        nick, user, host = event.arguments[:3]
        connection.privmsg(self.asked, "%s is %s at %s" % (nick, user, host))

    def on_nosuchnick(self, connection, event):
        connection.privmsg(self.asked, "nobody is " + event.arguments[0])


Bot(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]).start()
