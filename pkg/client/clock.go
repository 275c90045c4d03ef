package client

import (
	"net/http"
	"sync"
	"time"
)

// clockResolution is the largest difference of clocks that counts as none:
// an answer's Date has whole seconds, and the answer takes time to arrive.
const clockResolution = 2 * time.Second

// clock is how far the recorder's clock is ahead of this machine's, as its
// first answer says.
type clock struct {
	now func() time.Time // this machine's

	mu    sync.Mutex // guards what follows
	known bool
	ahead time.Duration
}

// observe reads the time of an answer that has just arrived. A cached answer
// says nothing about now.
func (c *clock) observe(answer *http.Response) {
	date, err := http.ParseTime(answer.Header.Get("Date"))
	if err != nil || answer.StatusCode != http.StatusOK || answer.Header.Get("Age") != "" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known {
		return
	}
	c.known = true
	// The answer was sent somewhere within the second that Date names.
	if ahead := date.Add(time.Second / 2).Sub(c.now()); ahead.Abs() > clockResolution {
		c.ahead = ahead
	}
}

// ClockAhead returns how far the recorder's clock is ahead of this machine's,
// negative if it is behind. It is 0 for up to two seconds, which can't be
// measured. known is false until an answer has told.
func (c *Client) ClockAhead() (ahead time.Duration, known bool) {
	c.clock.mu.Lock()
	defer c.clock.mu.Unlock()
	return c.clock.ahead, c.clock.known
}
