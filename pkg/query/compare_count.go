package query

import (
	"context"
	"time"

	"github.com/watchhistory/watchhistory/pkg/fold"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// ObjectCount is a number of objects.
type ObjectCount struct {
	Objects int
	// Initial is how many of them were first observed after the time.
	Initial int
	Exact   bool // false: there are more
}

// existed counts the objects that a filter selects in the earlier state of a
// comparison, without those that follow from others. It reads at most
// [Options.Effort] of them, without their bodies.
func (s *Service) existed(ctx context.Context, filter history.Filter, from, to time.Time) (*ObjectCount, error) {
	count := &ObjectCount{Exact: true}
	read := 0
	for r, err := range s.reader.State(ctx, history.StateScan{Filter: filter, At: from, Until: to}) {
		if err != nil {
			return nil, err
		}
		if read++; read > s.options.Effort {
			count.Exact = false
			break
		}
		if fold.IsDerived(r) {
			continue
		}
		count.Objects++
		if r.Time.After(from) {
			count.Initial++
		}
	}
	return count, nil
}
