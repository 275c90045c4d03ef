package query

import (
	"context"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// Gaps asks when changes may have been missed.
type Gaps struct {
	Start, End time.Time // a zero End is none
	Types      []string  // as in [Timeline]
	Group      string    // as in [Timeline]
}

// Gaps returns the gaps that touch the question's time and resources, in the order of their starts.
func (s *Service) Gaps(ctx context.Context, q Gaps) ([]history.Gap, error) {
	filter, known, err := s.filter(ctx, Timeline{Types: q.Types, Group: q.Group})
	if err != nil || !known {
		return nil, err
	}
	return s.reader.Gaps(ctx, filter.Resources, q.Start, q.End)
}
