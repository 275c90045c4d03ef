package storetest_test

import (
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
)

func feedFaults() []fault {
	return []fault{
		{"announces a commit before it is readable", []string{"FollowersMissNothing"}, func(b *broken) {
			b.committed = func(upTo history.Cursor, next <-chan struct{}) (history.Cursor, <-chan struct{}) {
				if upTo.Unix() == 0 {
					return upTo, next
				}
				return history.Cursor{Time: upTo.Add(time.Second)}, next
			}
		}},
		{"forgets its position", []string{"CommittedSurvivesReopen"}, func(b *broken) {
			open := false
			b.changeBatch(func(*history.Batch) { open = true })
			b.committed = func(upTo history.Cursor, next <-chan struct{}) (history.Cursor, <-chan struct{}) {
				if !open {
					upTo.Time = time.Unix(0, 0)
				}
				return upTo, next
			}
		}},
		{"announces nothing", []string{"CommittedAnnouncesEveryCommit"}, func(b *broken) {
			b.committed = func(upTo history.Cursor, _ <-chan struct{}) (history.Cursor, <-chan struct{}) {
				return upTo, make(chan struct{})
			}
		}},
		{"forgets namespaces", []string{"ActiveHasNamespacesOfRecords"}, func(b *broken) {
			b.active = func(a history.Activity) history.Activity {
				delete(a.Newest, "bb")
				return a
			}
		}},
		{"never reports a loss", []string{"KeptEndsWithRetention", "KeptEndsWithDroppedDays"}, func(b *broken) {
			b.kept = func(after, _ history.Cursor) history.Cursor { return after }
		}},
	}
}
