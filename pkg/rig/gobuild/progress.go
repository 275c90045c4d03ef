package gobuild

import (
	"fmt"
	"strings"
	"time"
)

// progress is how far a build is.
type progress struct {
	name       string
	began      time.Time
	compiling  time.Time // when the first package was begun; zero: none was
	downloaded int       // modules
	started    int       // packages that go has begun to build
	total      int       // packages to build; 0: not known
}

// take takes a line of go's, and reports whether that was about progress.
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

// line says how far the build is at a time. What is left is estimated by the
// packages built so far. The last package is the program itself, whose linking
// takes as long as many packages and can't be estimated.
func (p *progress) line(now time.Time) string {
	text := "building " + p.name + ": "
	switch left := p.total - p.started; {
	case p.started == 0 && p.downloaded > 0:
		text += fmt.Sprintf("modules downloaded: %d", p.downloaded)
	case p.started == 0:
		text += "looking for what has changed"
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
	return text + " (" + now.Sub(p.began).Round(time.Second).String() + ")"
}

// rounded writes a duration as exactly as an estimate can be.
func rounded(d time.Duration) string {
	if d < time.Minute {
		return d.Round(10 * time.Second).String()
	}
	return fmt.Sprintf("%dm", int(d.Round(time.Minute).Minutes()))
}
