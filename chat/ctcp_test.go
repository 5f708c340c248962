package chat

import "testing"

func TestIsCTCP(t *testing.T) {
	for text, want := range map[string]bool{
		"": false, "hello": false, "x\x01VERSION\x01": false, "\x01ACTION waves\x01": false, "\x01action waves": false, "\x01ACTION\x01": false,
		"\x01VERSION\x01": true, "\x01VERSION": true, "\x01ACTIONS x\x01": true, "\x01": true, "\x01PING 1\x01": true, "\x01\x01": true,
	} {
		if IsCTCP(text) != want {
			t.Errorf("%q: %v, want %v", text, !want, want)
		}
	}
}
