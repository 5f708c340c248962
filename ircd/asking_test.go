package ircd

import (
	"context"
	"testing"
	"time"
)

func TestWhatIsAskedEndsWithTheConnection(t *testing.T) {
	var a asking
	done, cancelDone := a.within(time.Hour)
	cancelDone()
	asked, cancel := a.within(time.Hour)
	defer cancel()
	if done.Err() != context.Canceled || asked.Err() != nil || len(a.stops) != 1 {
		t.Fatalf("%v, %v, %d under way", done.Err(), asked.Err(), len(a.stops))
	}
	a.end()
	late, cancelLate := a.within(time.Hour)
	defer cancelLate()
	if asked.Err() != context.Canceled || late.Err() != context.Canceled {
		t.Errorf("%v, %v", asked.Err(), late.Err())
	}
	short, cancelShort := new(asking).within(time.Nanosecond)
	defer cancelShort()
	if <-short.Done(); short.Err() != context.DeadlineExceeded {
		t.Error(short.Err())
	}
}
