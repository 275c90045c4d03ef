package gobuild

import (
	"context"
	"time"
)

// Stale returns the number of packages to build for a program.
func Stale(ctx context.Context, dir string, args ...string) (int, error) {
	return stale(ctx, Build{Dir: dir, Args: args})
}

// Line returns the line for a build that printed these lines. after is the time
// since its start, total the number of its packages.
func Line(printed []string, total int, after time.Duration) string {
	now := time.Now()
	p := progress{name: "m", start: now.Add(-after), total: total}
	for _, line := range printed {
		p.take(line)
	}
	p.compiling = p.start
	return p.line(now)
}
