package store

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"slices"

	badger "github.com/dgraph-io/badger/v4"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// dropBaselines restores the index entries of the baselines, and drops
// baselines that can't be read. It does nothing if neither the baselines nor
// the keys that they refer to are in lost ranges.
func (b *rebuild) dropBaselines() error {
	if !b.lost.Overlaps(key.BaselinesOf(0)[:1]) && !b.lost.Overlaps(key.Identities()) &&
		!b.lost.Overlaps(dictionaryPrefix()) {
		return nil
	}
	err := b.each(key.AllBaselines(), func(item *badger.Item) error {
		object, ts, err := key.DecodeBaseline(item.Key())
		if err != nil {
			return nil //nolint:nilerr // no other key refers to it
		}
		meta, err := item.ValueCopy(nil)
		if err != nil {
			return err
		}
		return b.checkBaseline(key.Entry{Object: object, TS: ts}, meta)
	})
	if err != nil {
		return err
	}
	return b.sweepBaselines()
}

// checkBaseline restores the index entries of a baseline, or drops it if it
// can't be read.
func (b *rebuild) checkBaseline(e key.Entry, meta []byte) error {
	rec, m, err := b.r.record(e, meta)
	if err == nil {
		_, err = b.r.readBaselineBody(e, m.Parts)
	}
	if err == nil {
		for k := range baselineKeys(rec, e.Object, e.TS) {
			if _, err := b.restore(k, nil, 0); err != nil {
				return err
			}
		}
		return nil
	}
	if !errors.Is(err, badger.ErrKeyNotFound) && !errors.Is(err, codec.ErrCorrupt) {
		return err
	}
	b.remove(key.Baseline(e.Object, e.TS))
	b.loseBaseline(e)
	return nil
}

// loseBaseline adds a baseline to the report as a lost version.
func (b *rebuild) loseBaseline(e key.Entry) {
	v := versionID{e.Object, e.TS}
	if b.dropped[v] {
		return
	}
	b.drop(b.resourceOf(e.Object), v)
}

// sweepBaselines removes the body parts and index entries of baselines without
// metadata. They show that the baseline existed, so it is reported as lost.
func (b *rebuild) sweepBaselines() error {
	return b.each(key.BaselinesOf(0)[:1], func(item *badger.Item) error {
		k := item.KeyCopy(nil)
		var e key.Entry
		var err error
		switch {
		case bytes.HasPrefix(k, key.AllBaselines()):
			return nil
		case len(k) == len(key.BaselineBody(0, 0, 0)) && bytes.HasPrefix(k, key.BaselineBody(0, 0, 0)[:2]):
			e.Object, e.TS = binary.BigEndian.Uint64(k[2:]), binary.BigEndian.Uint64(k[10:])
		default:
			if e.Object, e.TS, err = key.DecodeBaselineOwner(k); err != nil {
				return nil //nolint:nilerr // no other key refers to it
			}
		}
		there, err := b.exists(key.Baseline(e.Object, e.TS))
		if err == nil && !there {
			b.remove(k)
			b.loseBaseline(e)
		}
		return err
	})
}

// addGaps adds gaps for everything that is missing. It withdraws the
// checkpoints of resources whose current state is unknown, so that they are
// listed again.
func (b *rebuild) addGaps() error {
	for _, f := range []func() error{
		b.addDroppedLosses, b.addUnknownLosses, b.addBaselineLosses,
		b.addGapLosses, b.addCheckpointLosses, b.addRelistLosses,
	} {
		if err := f(); err != nil {
			return err
		}
	}
	return b.writeGaps()
}

// addDroppedLosses adds a loss for each dropped version, up to the next version
// of its object. In between, the previous version is returned in its place.
func (b *rebuild) addDroppedLosses() error {
	for _, l := range b.report.lost {
		from := max(l.ts, key.Start(b.r.floorDay))
		next, err := b.nextOf(l.versionID)
		if err != nil {
			return err
		}
		b.addLoss(l.resource, loss{from, next, detailVersions})
	}
	return nil
}

// findUnknown finds the times at which versions may be lost without a trace:
// their metadata and all copies of it would be in lost ranges. For each
// resource, that is where the lost times of the index by time and of the index
// by resource overlap.
func (b *rebuild) findUnknown() error {
	all, err := b.resources()
	if err != nil {
		return err
	}
	for _, day := range b.lostDays() {
		times := b.lostTimes(key.ClassPrefix(day, key.ByTime), day)
		if len(times) == 0 || !b.lost.Overlaps(key.ClassPrefix(day, key.Record)) {
			continue
		}
		for n := range all {
			of, in := key.Entry{Class: key.ByResource, Resource: n}, key.Entry{Class: key.ByNamespace, Resource: n}
			if !b.lost.Overlaps(in.Prefix(day)[:4+2]) { // any namespace
				continue
			}
			for _, t := range times {
				for _, u := range b.lostTimes(of.Prefix(day), day) {
					if from, to := max(t.from, u.from), min(t.to, u.to); from < to {
						b.unknown[n] = append(b.unknown[n], loss{from, to, detailVersions})
					}
				}
			}
		}
	}
	return nil
}

// addUnknownLosses adds losses for versions that may be lost without a trace.
// The object of such a version is unknown up to its next version. A gap in the
// revisions shows that.
func (b *rebuild) addUnknownLosses() error {
	if len(b.unknown) == 0 {
		return nil
	}
	b.report.Unknown = true
	for n, list := range b.unknown {
		b.relist[n] = true
		for _, l := range list {
			b.addLoss(n, l)
		}
	}
	last := map[uint64]revision{}
	return b.days(func(day uint16) error {
		return b.entries(day, key.ByTime, func(e key.Entry, item *badger.Item) error {
			if len(b.unknown[e.Resource]) == 0 {
				return nil
			}
			return item.Value(func(meta []byte) error {
				o, err := codec.DecodeOutline(meta)
				if err != nil {
					return nil //nolint:nilerr // dropUnreadable dropped it
				}
				before := last[e.Object]
				last[e.Object] = revision{o.Revision, e.TS}
				if before.n+1 >= o.Revision {
					return nil // no revision is missing
				}
				// The missing revisions were between before.ts and e.TS. If
				// that overlaps with an unknown interval, the loss lasts until
				// e.TS.
				for _, l := range b.unknown[e.Resource] {
					if from := max(before.ts, l.from); from < l.to && e.TS > l.from {
						b.addLoss(e.Resource, loss{from, e.TS, detailVersions})
					}
				}
				return nil
			})
		})
	})
}

// revision is the number and the time of a version.
type revision struct{ n, ts uint64 }

// lostDays returns the days in lost ranges that may have had versions: from the
// oldest known day up to the day of the newest record.
func (b *rebuild) lostDays() (days []uint16) {
	first, last := max(firstDay(b.r.txn), b.r.floorDay), uint32(key.Day(b.newest()))
	for _, r := range b.lost.WithPrefix([]byte{key.History}) {
		if len(r.From) >= 3 { // it contains a day, which may be before the first known one
			first = min(first, uint32(binary.BigEndian.Uint16(r.From[1:])))
		}
		if first == noDay {
			first = last
		}
		for day := max(first, b.r.floorDay); day <= last; day++ {
			if b.lost.Overlaps(key.DayPrefix(uint16(day))) && !slices.Contains(days, uint16(day)) {
				days = append(days, uint16(day))
			}
		}
	}
	return days
}

// newest returns the time of the log's newest record, or the current time if
// that is lost.
func (b *rebuild) newest() uint64 {
	value, err := get(b.r.txn, key.State())
	if err != nil {
		return timestamp(b.r.s.now())
	}
	state, err := codec.DecodeState(value)
	if err != nil || state.Last == 0 {
		return timestamp(b.r.s.now())
	}
	return state.Last
}

// lostTimes returns the intervals of a day in which keys are lost that consist
// of a prefix and a time.
func (b *rebuild) lostTimes(prefix []byte, day uint16) (times []loss) {
	begin, end := key.Start(uint32(day)), key.Start(uint32(day)+1)
	for _, r := range b.lost.WithPrefix(prefix) {
		times = append(times, loss{from: timeAfter(r.From, prefix, begin), to: timeAfter(r.To, prefix, end)})
		last := &times[len(times)-1]
		if bytes.HasPrefix(r.To, prefix) {
			last.to = min(last.to+1, end) // a lost key may have the same time
		}
	}
	return times
}

// timeAfter returns the time that follows a prefix in a key, or otherwise if
// there is none.
func timeAfter(k, prefix []byte, otherwise uint64) uint64 {
	if !bytes.HasPrefix(k, prefix) || len(k) < len(prefix)+8 {
		return otherwise
	}
	return binary.BigEndian.Uint64(k[len(prefix):])
}

// addBaselineLosses adds losses for objects whose baseline may be lost without
// a trace: from the retention floor to the object's first remaining version. A
// version with revision 1 had no baseline before it.
func (b *rebuild) addBaselineLosses() error {
	lost := b.lost.WithPrefix(key.AllBaselines())
	if len(lost) == 0 {
		return nil
	}
	begin := key.Start(b.r.floorDay)
	return b.identities(func(object uint64, id *codec.Identity, _ *badger.Item) error {
		if !lost.Overlaps(key.BaselinesOf(object)) {
			return nil
		}
		if _, found, err := b.r.storedBaseline(object); err != nil || found {
			return err
		}
		next, err := b.nextOf(versionID{object, 0})
		if err != nil || next == 0 {
			return err
		}
		e := key.Entry{Object: object, TS: next}
		meta, err := get(b.r.txn, e.In(key.Record))
		if err != nil {
			return err
		}
		if o, err := codec.DecodeOutline(meta); err == nil && o.Revision > 1 {
			b.addLoss(id.Resource, loss{begin, next, detailVersions})
		}
		return nil
	})
}

// addGapLosses adds losses for gaps that may be in lost ranges and are not in
// the spare copy. A loss begins at the time of the newest record when the
// spare copy was written: it has the earlier gaps.
func (b *rebuild) addGapLosses() error {
	lost := b.lost.WithPrefix(key.AllGaps())
	if len(lost) == 0 {
		return nil
	}
	all, err := b.resources()
	if err != nil {
		return err
	}
	since := uint64(0)
	if b.view.spare != nil {
		since = b.view.spare.state.Last
	}
	begin := max(key.Start(b.r.floorDay), key.Start(min(firstDay(b.r.txn), 1<<16-1)))
	for n := range all {
		for _, r := range lost.WithPrefix(key.Gaps(n)) {
			from := max(timeAfter(r.From, key.Gaps(n), 0), since, begin)
			if to := b.newest() + 1; from < to {
				b.addLoss(n, loss{from, to, detailGaps})
			}
		}
	}
	return nil
}

// addCheckpointLosses adds a loss for each lost checkpoint. It begins at the
// time up to which the resource was certainly observed.
func (b *rebuild) addCheckpointLosses() error {
	all, err := b.resources()
	if err != nil {
		return err
	}
	for n := range all {
		if !b.lost.Contains(key.Checkpoint(n)) {
			continue
		}
		from, err := b.observedUntil(n)
		if err != nil {
			return err
		}
		b.addLoss(n, loss{from, 0, detailCheckpoint})
	}
	return nil
}

// observedUntil returns the time up to which a resource was certainly observed:
// that of its newest version, or of its checkpoint in the spare copy.
func (b *rebuild) observedUntil(n uint16) (until uint64, err error) {
	if b.view.spare != nil {
		until = b.view.spare.observed[n]
	}
	err = b.days(func(day uint16) error {
		e := key.Entry{Class: key.ByResource, Resource: n}
		k, _, err := b.r.newestBefore(e.Prefix(day), key.MaxTS)
		if err == nil && k != nil {
			until = max(until, timeAfter(k, e.Prefix(day), 0))
		}
		return err
	})
	return cmp.Or(until, max(key.Start(b.r.floorDay), key.Start(min(firstDay(b.r.txn), 1<<16-1)))), err
}

// addRelistLosses adds losses for the other resources whose current state is
// unknown.
func (b *rebuild) addRelistLosses() error {
	for n := range b.relist {
		if slices.ContainsFunc(b.losses[n], func(l loss) bool { return l.to == 0 }) {
			continue
		}
		from, err := b.observedUntil(n)
		if err != nil {
			return err
		}
		b.addLoss(n, loss{from, 0, detailCheckpoint})
	}
	return nil
}

// maxLosses bounds the gaps of one resource that a repair adds. Beyond it, the
// nearest ones are merged.
const maxLosses = 16

// writeGaps writes a gap for each loss. For a loss without an end it withdraws
// the resource's checkpoint: the list that follows ends the gap. A loss of an
// unknown resource applies to all resources.
func (b *rebuild) writeGaps() error {
	all, err := b.resources()
	if err != nil {
		return err
	}
	for n := range all {
		for _, l := range mergeLosses(append(slices.Clone(b.losses[n]), b.losses[0]...)) {
			if err := b.writeGap(n, l); err != nil {
				return err
			}
		}
	}
	return nil
}

// mergeLosses sorts losses and merges those that touch. It returns at most
// maxLosses. The detail of a merged loss is that of the first one. It sorts all
// in place.
func mergeLosses(all []loss) (list []loss) {
	slices.SortFunc(all, func(a, b loss) int { return cmp.Compare(a.from, b.from) })
	for _, l := range all {
		if last := len(list) - 1; last >= 0 && (list[last].to == 0 || list[last].to >= l.from) {
			if list[last].to != 0 && (l.to == 0 || l.to > list[last].to) {
				list[last].to = l.to
			}
			continue
		}
		list = append(list, l)
	}
	// Only the last loss can be without an end, so the distances are valid.
	for len(list) > maxLosses {
		nearest := 0
		for i := range list[:len(list)-1] {
			if list[i+1].from-list[i].to < list[nearest+1].from-list[nearest].to {
				nearest = i
			}
		}
		list[nearest].to = list[nearest+1].to
		list = slices.Delete(list, nearest+1, nearest+2)
	}
	return list
}

// writeGap writes the gap of a loss. It moves its start to an earlier
// nanosecond if a gap with that start exists.
func (b *rebuild) writeGap(n uint16, l loss) error {
	open, used := uint64(0), map[uint64]bool{}
	err := b.r.each(key.Gaps(n), func(item *badger.Item) error {
		_, start, err := key.DecodeGap(item.Key())
		if err != nil {
			return nil //nolint:nilerr // not a gap
		}
		used[start] = true
		return item.Value(func(v []byte) error {
			if g, err := codec.DecodeGap(v); err == nil && g.Open() {
				open = start
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	for used[l.from] { // a gap's start is its key
		l.from--
	}
	g := history.Gap{Reason: history.GapDamaged, Detail: l.detail}
	expires := uint64(0) // an open gap never expires
	if l.to == 0 {
		at := moment(max(b.newest(), l.from))
		b.set(key.Checkpoint(n), codec.EncodeCheckpoint("", at), 0)
	}
	// If another gap is open, that one lasts until the next list. The new gap
	// then only has to reach it, since at most one gap of a resource is open.
	if l.to != 0 || open != 0 {
		end := l.to
		if end == 0 {
			end = max(b.newest(), l.from, open) + 1
		}
		g.End, expires = moment(end), b.r.s.expiry(end)
	}
	b.set(key.Gap(n, l.from), codec.EncodeGap(&g), expires)
	b.report.Gaps++
	return nil
}
