package bridge

import (
	"slices"
	"sync"
	"time"
)

// The states of an address to join through; JoinStatus tells what they mean.
const (
	joinWaiting  = "waiting"
	joinDialling = "dialling"
	joinJoined   = "joined"
	joinAnswers  = "answers"
)

// joinState is what the joiner's addresses are at, for others to read.
type joinState struct {
	mu   sync.Mutex
	list []JoinStatus
}

func (s *joinState) init(addrs []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = []JoinStatus{}
	for _, a := range addrs {
		s.list = append(s.list, JoinStatus{Address: a, State: joinWaiting})
	}
}

// read is a copy of the states as they are now.
func (s *joinState) read() []JoinStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]JoinStatus{}, s.list...)
}

// change changes the state of one address.
func (s *joinState) change(addr string, f func(*JoinStatus)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.list {
		if s.list[i].Address == addr {
			f(&s.list[i])
		}
	}
}

func (s *joinState) dialling(addr string) {
	s.change(addr, func(j *JoinStatus) { j.State, j.Next = joinDialling, time.Time{} })
}

func (s *joinState) done(addr, state string) {
	s.change(addr, func(j *JoinStatus) { *j = JoinStatus{Address: addr, State: state} })
}

// failed notes the error; the other addresses of the round may be dialled on.
func (s *joinState) failed(addr string, err error) {
	s.change(addr, func(j *JoinStatus) { j.State, j.Error = joinWaiting, oneLine(err.Error()) })
}

// waiting notes when the next round begins.
func (s *joinState) waiting(next time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.list {
		s.list[i].State, s.list[i].Next = joinWaiting, next
	}
}

func (s *joinState) drop(addr string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = slices.DeleteFunc(s.list, func(j JoinStatus) bool { return j.Address == addr })
}
