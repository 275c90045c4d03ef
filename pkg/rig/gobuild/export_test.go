package gobuild

import (
	"context"
	"time"
)

// Stale returns how many packages there are to build of a module's program.
func Stale(ctx context.Context, dir string, args ...string) (int, error) {
	return stale(ctx, Build{Dir: dir, Args: args})
}

// Line returns what is shown of a build that printed these lines, some time
// after it began to compile, with so many packages left after the first ones.
func Line(printed []string, total int, after time.Duration) string {
	now := time.Now()
	p := progress{name: "m", began: now.Add(-after), total: total}
	for _, line := range printed {
		p.take(line)
	}
	p.compiling = p.began
	return p.line(now)
}
