package overlay

import "testing"

// What was shown to the kind's Views is not kept: it may be a whole view, for each thing that anybody has a stake in.
func TestUpcallsAreMadeInOrderAndNotKept(t *testing.T) {
	o, hd, got := new(Overlay), new(hold), []int{}
	for i := range 3 {
		o.upcallLocked(hd, func() { got = append(got, i) })
	}
	queue := hd.calls
	o.makeCalls([]*hold{hd})
	if len(got) != 3 || got[0] != 0 || got[2] != 2 {
		t.Errorf("the calls were made in the order %v", got)
	}
	for i, f := range queue {
		if f != nil {
			t.Errorf("call %d is kept", i)
		}
	}
	if hd.calls != nil {
		t.Error("the queue is kept")
	}
}
