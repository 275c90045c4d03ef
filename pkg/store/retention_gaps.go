package store

import (
	"encoding/binary"

	badger "github.com/dgraph-io/badger/v4"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

func encodeFloor(day uint32) []byte { return binary.BigEndian.AppendUint32(nil, day) }

// detailOf says why a day was dropped, for people. Of a day that is older than the retention, nobody is told unless it is not any more:
// because the clock was set back, or the retention is longer now.
func detailOf(reason Reason) string {
	if reason == BySize {
		return "the storage neared its limit, and its oldest days were dropped"
	}
	return "it was older than the retention when it was dropped: the clock was ahead, or the retention was shorter"
}

// losses returns, for each resource that has records in a day, the gap that dropping the day makes: from the first record that is
// lost, of whatever resource, to the day's end. Where the day before was lost for the same reason, its gap goes on.
func (r *reader) losses(day uint16, reason Reason) (gaps []group, err error) {
	lost, _, err := r.first(key.Entry{Class: key.ByTime}, day)
	if err != nil {
		return nil, err
	}
	if reason == BySize { // of what was lost before, a gap of its own tells
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

// first returns the time of the first key in a range of a day, and whether there is one.
func (r *reader) first(e key.Entry, day uint16) (uint64, bool, error) {
	it := r.txn.NewIterator(badger.IteratorOptions{Prefix: e.Prefix(day)})
	defer it.Close()
	if it.Rewind(); !it.Valid() {
		return 0, false, nil
	}
	e, err := key.Decode(it.Item().Key())
	return e.TS, true, err
}

// gapStart returns where the gap starts of what is lost from a time of a day on: where the gap does that ends with the day before
// and has the same reason, or there. No other gap may start at the same time, because the key is the start.
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
