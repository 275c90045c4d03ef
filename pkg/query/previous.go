package query

import (
	"context"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// withPrevious returns a function that sets the previous version of an update
// before it calls another function. Without another one, the versions are
// collected in all.
func (s *Service) withPrevious(
	ctx context.Context, next func(*Version) error, all *[]Version,
) func(*Version) error {
	n := newSummarizer(s.reader)
	return func(v *Version) error {
		if v.Verb == history.Update {
			before, err := n.before(ctx, v.Record)
			if err != nil {
				return err
			}
			if before != nil {
				hidden := []Version{{Record: before}}
				if err := s.hideHashes(ctx, hidden); err != nil {
					return err
				}
				v.Previous = hidden[0].Object
			}
		}
		if next != nil {
			return next(v)
		}
		*all = append(*all, *v)
		return nil
	}
}
