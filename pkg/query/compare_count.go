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
	Exact   bool // false: there are more
}

// existed counts the objects that a filter selects at a time, without those
// that follow from others. It reads at most [Options.Effort] of them, without
// their bodies.
func (s *Service) existed(ctx context.Context, filter history.Filter, at time.Time) (*ObjectCount, error) {
	count := &ObjectCount{Exact: true}
	read := 0
	for r, err := range s.reader.State(ctx, history.StateScan{Filter: filter, At: at}) {
		if err != nil {
			return nil, err
		}
		if read++; read > s.options.Effort {
			count.Exact = false
			break
		}
		if !fold.IsDerived(r) {
			count.Objects++
		}
	}
	return count, nil
}
