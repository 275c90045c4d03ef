package store

import (
	"cmp"

	badger "github.com/dgraph-io/badger/v4"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
	"github.com/watchhistory/watchhistory/pkg/store/internal/keyrange"
)

// detailOf explains to users why a day was dropped.
//
// A day that is older than the retention is not answered, and neither is its
// gap. The gap becomes visible if the day isn't older any more: the clock was
// set back, or the retention was extended.
func detailOf(reason Reason) string {
	if reason == BySize {
		return "the storage neared its limit, and its oldest days were dropped"
	}
	return "it was older than the retention when it was dropped: the clock was ahead, or the retention was shorter"
}

// droppedGaps returns the gaps that dropping a day makes: one for each resource
// with records in the day. A gap begins at the first record of any resource
// that is lost, and ends with the day. If the day before was dropped for the
// same reason, its gap is extended instead.
func (r *reader) droppedGaps(day uint16, reason Reason) (gaps []group, err error) {
	lost, _, err := r.first(key.Entry{Class: key.ByTime}, day)
	if err != nil {
		return nil, err
	}
	if reason == BySize { // earlier records were lost by age already
		lost = max(lost, r.s.horizon())
	}
	begin, end := key.Start(uint32(day)), key.Start(uint32(day)+1)
	err = r.eachResource(nil, func(n uint16) error {
		_, found, err := r.first(key.Entry{Class: key.ByResource, Resource: n}, day)
		if err != nil || !found {
			return err
		}
		start, err := r.gapStart(n, lost, begin, detailOf(reason))
		if err != nil {
			return err
		}
		var g group
		g.set(key.Gap(n, start), codec.EncodeGap(&history.Gap{
			End: moment(end), Reason: history.GapDropped, Detail: detailOf(reason),
		}), r.s.expiry(end))
		gaps = append(gaps, g)
		return nil
	})
	return gaps, err
}

// first returns the time of the first key in a range of a day, and whether
// there is one. It verifies the blocks that may contain an earlier one.
func (r *reader) first(e key.Entry, day uint16) (ts uint64, found bool, err error) {
	read := keyrange.Prefix(e.Prefix(day))
	it := r.txn.NewIterator(badger.IteratorOptions{Prefix: read.From})
	defer it.Close()
	if it.Rewind(); it.Valid() {
		read.To = it.Item().KeyCopy(nil)
		e, err = key.Decode(read.To)
		ts, found = e.TS, true
	}
	return ts, found, cmp.Or(err, r.integrity.check(read))
}

// gapStart returns the start of the gap of a dropped day. begin is the
// beginning of the day, and lost the time of the first lost record. If a gap
// with the same detail ends at begin, the result is the start of that gap.
// Otherwise it is lost, or an earlier time if another gap starts at lost: the
// key of a gap is its start.
func (r *reader) gapStart(resource uint16, lost, begin uint64, detail string) (uint64, error) {
	taken := map[uint64]bool{}
	continued, found := uint64(0), false
	err := r.each(key.Gaps(resource), func(item *badger.Item) error {
		g, err := r.gap(item)
		if err != nil {
			return err
		}
		start := timestamp(g.Start)
		taken[start] = true
		if g.Reason == history.GapDropped && g.Detail == detail && g.End.Equal(moment(begin)) {
			continued, found = start, true
		}
		return nil
	})
	if found {
		return continued, err
	}
	for taken[lost] {
		lost--
	}
	return lost, err
}
