package cli

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// progressPatience is how long a terminal stays silent.
const progressPatience = time.Second

// progress writes a text to a terminal if it takes longer than a second until done is called, which takes it away again. To
// anything but a terminal it writes nothing.
func progress(w io.Writer, text string) (done func()) {
	if terminalWidth(w) == 0 {
		return func() {}
	}
	var mu sync.Mutex // guards shown and over
	shown, over := false, false
	timer := time.AfterFunc(progressPatience, func() {
		mu.Lock()
		defer mu.Unlock()
		if !over {
			shown = true
			_, _ = fmt.Fprint(w, text)
		}
	})
	return func() {
		timer.Stop()
		mu.Lock()
		defer mu.Unlock()
		if shown && !over {
			_, _ = fmt.Fprint(w, "\r\x1b[K")
		}
		over = true
	}
}
