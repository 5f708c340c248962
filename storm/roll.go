package storm

import "fmt"

// rollCall begins what is said to see whether all hear it.
const rollCall = "who hears "

// callRoll has each member of a channel say something. If he may, all the others must hear it.
func (s *storm) callRoll(name string) {
	for _, from := range s.clients {
		if !s.fine() || !from.on(name) {
			continue
		}
		text := rollCall + from.name + " on " + name
		if refused(s.answer(from, "PRIVMSG "+name+" :"+text)) {
			continue
		}
		for _, c := range s.clients {
			if c == from || !c.on(name) {
				continue
			}
			_ = c.await(fmt.Sprintf("%q is heard", text), func() bool { return c.heard[text] == 1 })
		}
	}
}

// refused reports whether an answer tells that what was asked was not done.
func refused(answer []message) bool {
	for _, m := range answer {
		if m.command == "404" || m.command == "FAIL" || m.command == "437" {
			return true
		}
	}
	return false
}
