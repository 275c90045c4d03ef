package gobuild

import (
	"fmt"
	"strings"
	"time"
)

// progress is the state of a build, derived from the output of "go build -v".
type progress struct {
	name       string
	start      time.Time
	compiling  time.Time // start of the first package, or zero
	downloaded int       // modules downloaded
	started    int       // packages started
	total      int       // packages to build, or 0 if not known
}

// take updates the progress from a line of go's output. It returns false if the
// line is a message for the user.
func (p *progress) take(line string) bool {
	switch {
	case strings.HasPrefix(line, "go: downloading "):
		p.downloaded++
	case line == "" || strings.ContainsAny(line, " \t#:"):
		return false
	default: // a package's path
		if p.started++; p.started == 1 {
			p.compiling = time.Now()
		}
	}
	return true
}

// line returns the line to show. The remaining time is estimated by the
// packages built so far. The last package is the program itself: linking takes
// as long as many packages, and is not estimated.
func (p *progress) line(now time.Time) string {
	text := "building " + p.name + ": "
	switch left := p.total - p.started; {
	case p.started == 0 && p.downloaded > 0:
		text += fmt.Sprintf("modules downloaded: %d", p.downloaded)
	case p.started == 0:
		text += "checking packages"
	case p.total == 0:
		text += fmt.Sprintf("%d packages built", p.started-1)
	case left <= 0:
		text += fmt.Sprintf("%d of %d packages built, linking", p.started-1, max(p.total, p.started))
	default:
		text += fmt.Sprintf("%d of %d packages built", p.started-1, p.total)
		if p.started > 1 {
			each := now.Sub(p.compiling) / time.Duration(p.started-1)
			text += ", about " + rounded(each*time.Duration(left+1)) + " left"
		}
	}
	return text + " (" + now.Sub(p.start).Round(time.Second).String() + ")"
}

// rounded formats a duration with the precision of an estimate.
func rounded(d time.Duration) string {
	if d < time.Minute {
		return d.Round(10 * time.Second).String()
	}
	return fmt.Sprintf("%dm", int(d.Round(time.Minute).Minutes()))
}
