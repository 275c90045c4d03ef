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

// dropStanding restores the owners' index of the versions that were carried on, and drops those that can't be read any more.
func (b *rebuild) dropStanding() error {
	if !b.lost.touches(key.StandingOf(0)[:1]) && !b.lost.touches(key.Identities()) && !b.lost.touches(dictionaryPrefix()) {
		return nil
	}
	err := b.each(key.StandingOf(0)[:2], func(item *badger.Item) error {
		object, ts, err := key.DecodeStanding(item.Key())
		if err != nil {
			return nil //nolint:nilerr // nothing refers to it
		}
		meta, err := item.ValueCopy(nil)
		if err != nil {
			return err
		}
		return b.stands(key.Entry{Object: object, TS: ts}, meta)
	})
	if err != nil {
		return err
	}
	return b.sweepStanding()
}

func (b *rebuild) stands(e key.Entry, meta []byte) error {
	rec, m, err := b.r.record(e, meta)
	if err == nil {
		_, err = b.r.carriedBody(e, m.Parts)
	}
	if err == nil {
		for k := range standingOwned(rec, e.Object, e.TS) {
			if _, err := b.restore(k, nil, 0); err != nil {
				return err
			}
		}
		return nil
	}
	if !errors.Is(err, badger.ErrKeyNotFound) && !errors.Is(err, codec.ErrCorrupt) {
		return err
	}
	b.remove(key.Standing(e.Object, e.TS))
	b.dropCarried(e)
	return nil
}

// dropCarried says that a version is missing that was carried on: from when days are kept.
func (b *rebuild) dropCarried(e key.Entry) {
	v := version{e.Object, e.TS}
	if b.dropped[v] {
		return
	}
	b.drop(b.resourceOf(e.Object), v)
}

// sweepStanding removes what belongs to no version that was carried on.
func (b *rebuild) sweepStanding() error {
	return b.each(key.StandingOf(0)[:1], func(item *badger.Item) error {
		k := item.KeyCopy(nil)
		var e key.Entry
		var err error
		switch {
		case bytes.HasPrefix(k, key.StandingOf(0)[:2]):
			return nil
		case len(k) == len(key.StandingBody(0, 0, 0)) && bytes.HasPrefix(k, key.StandingBody(0, 0, 0)[:2]):
			e.Object, e.TS = binary.BigEndian.Uint64(k[2:]), binary.BigEndian.Uint64(k[10:])
		default:
			if e.Object, e.TS, err = key.DecodeStandingOwned(k); err != nil {
				return nil //nolint:nilerr // nothing refers to it
			}
		}
		there, err := b.is(key.Standing(e.Object, e.TS))
		if err == nil && !there {
			b.remove(k)
			b.dropCarried(e)
		}
		return err
	})
}

// markLosses makes gaps of all that is missing, and withdraws the checkpoints of resources whose current state is not known any more,
// so that they are listed again.
func (b *rebuild) markLosses() error {
	for _, f := range []func() error{b.loseDropped, b.loseUnknown, b.loseStanding, b.loseLedger, b.loseCheckpoints, b.loseForgotten} {
		if err := f(); err != nil {
			return err
		}
	}
	return b.writeGaps()
}

// loseDropped makes a loss of each dropped version: from its time up to the next version of its object, until which the one before
// is answered in its place.
func (b *rebuild) loseDropped() error {
	for _, l := range b.report.lost {
		from := max(l.ts, key.Start(b.r.floor))
		next, err := b.nextOf(l.version)
		if err != nil {
			return err
		}
		b.lose(l.resource, loss{from, next, whyDamaged})
	}
	return nil
}

// findUnknown finds the times of which versions may be lost without a trace: those in which their metadata and all of its copies would
// be in lost ranges.
func (b *rebuild) findUnknown() error {
	all, err := b.resources()
	if err != nil {
		return err
	}
	for _, day := range b.lostDays() {
		times := b.timesIn(key.ClassPrefix(day, key.ByTime), day)
		if len(times) == 0 || !b.lost.touches(key.ClassPrefix(day, key.Record)) {
			continue
		}
		for n := range all {
			of, in := key.Entry{Class: key.ByResource, Resource: n}, key.Entry{Class: key.ByNamespace, Resource: n}
			if !b.lost.touches(in.Prefix(day)[:4+2]) {
				continue
			}
			for _, t := range times {
				for _, u := range b.timesIn(of.Prefix(day), day) {
					if from, to := max(t.from, u.from), min(t.to, u.to); from < to {
						b.unknown[n] = append(b.unknown[n], loss{from, to, whyDamaged})
					}
				}
			}
		}
	}
	return nil
}

// loseUnknown makes losses of the versions that may be lost without a trace. What the object of one looked like is not known until its
// next version, which revisions tell that are not there.
func (b *rebuild) loseUnknown() error {
	if len(b.unknown) == 0 {
		return nil
	}
	b.report.Unknown = true
	for n, list := range b.unknown {
		b.relist[n] = true
		for _, l := range list {
			b.lose(n, l)
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
					return nil //nolint:nilerr // an entry from before they had metadata
				}
				before := last[e.Object]
				last[e.Object] = revision{o.Revision, e.TS}
				if before.n+1 >= o.Revision {
					return nil
				}
				for _, l := range b.unknown[e.Resource] {
					if from := max(before.ts, l.from); from < l.to && e.TS > l.from {
						b.lose(e.Resource, loss{from, e.TS, whyDamaged})
					}
				}
				return nil
			})
		})
	})
}

// revision is the number and the time of an object's version.
type revision struct{ n, ts uint64 }

// lostDays returns the days in lost ranges that may have had versions: none before the oldest that is known, and none behind the log's
// newest record.
func (b *rebuild) lostDays() (days []uint16) {
	first, last := max(oldestDay(b.r.txn), b.r.floor), uint32(key.Day(b.newest()))
	for _, r := range b.lost.within([]byte{key.History}) {
		if len(r.from) >= 3 {
			first = min(first, uint32(binary.BigEndian.Uint16(r.from[1:])))
		}
		if first == noDay {
			first = last
		}
		for day := max(first, b.r.floor); day <= last; day++ {
			if b.lost.touches(key.DayPrefix(uint16(day))) && !slices.Contains(days, uint16(day)) {
				days = append(days, uint16(day))
			}
		}
	}
	return days
}

// newest returns the time of the log's newest record; now, if that is lost.
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

// timesIn returns the intervals of a day in which keys with a prefix are lost whose time comes behind it.
func (b *rebuild) timesIn(prefix []byte, day uint16) (times []loss) {
	begin, end := key.Start(uint32(day)), key.Start(uint32(day)+1)
	for _, r := range b.lost.within(prefix) {
		times = append(times, loss{from: timeBehind(r.from, prefix, begin), to: timeBehind(r.to, prefix, end)})
		last := &times[len(times)-1]
		if bytes.HasPrefix(r.to, prefix) {
			last.to = min(last.to+1, end) // a key of that time may come before it
		}
	}
	return times
}

// timeBehind returns the time in a key behind a prefix; otherwise, if there is none, what is given.
func timeBehind(k, prefix []byte, otherwise uint64) uint64 {
	if !bytes.HasPrefix(k, prefix) || len(k) < len(prefix)+8 {
		return otherwise
	}
	return binary.BigEndian.Uint64(k[len(prefix):])
}

// loseStanding makes losses of objects whose version at the beginning of the days that are kept may be lost without a trace.
func (b *rebuild) loseStanding() error {
	lost := b.lost.within(key.StandingOf(0)[:2])
	if len(lost) == 0 {
		return nil
	}
	begin := key.Start(b.r.floor)
	return b.identities(func(object uint64, id *codec.Identity, _ *badger.Item) error {
		if !lost.touches(key.StandingOf(object)) {
			return nil
		}
		if _, stands, err := b.r.carried(object); err != nil || stands {
			return err
		}
		next, err := b.nextOf(version{object, 0})
		if err != nil || next == 0 {
			return err
		}
		e := key.Entry{Object: object, TS: next}
		meta, err := get(b.r.txn, e.In(key.Record))
		if err != nil {
			return err
		}
		if o, err := codec.DecodeOutline(meta); err == nil && o.Revision > 1 {
			b.lose(id.Resource, loss{begin, next, whyDamaged})
		}
		return nil
	})
}

// loseLedger makes losses of the gaps that may have been in lost ranges, and are not in the spare copy.
func (b *rebuild) loseLedger() error {
	lost := b.lost.within(key.Ledger())
	if len(lost) == 0 {
		return nil
	}
	all, err := b.resources()
	if err != nil {
		return err
	}
	since := uint64(0)
	if b.spare != nil {
		since = b.spare.state.Last
	}
	begin := max(key.Start(b.r.floor), key.Start(min(oldestDay(b.r.txn), 1<<16-1)))
	for n := range all {
		for _, r := range lost.within(key.Gaps(n)) {
			from := max(timeBehind(r.from, key.Gaps(n), 0), since, begin)
			if to := b.newest() + 1; from < to {
				b.lose(n, loss{from, to, whyLedger})
			}
		}
	}
	return nil
}

// loseCheckpoints makes losses of where recording had got to: from the newest version of the resource that is left, or from when the
// spare copy was made, if that says that recording had got further.
func (b *rebuild) loseCheckpoints() error {
	all, err := b.resources()
	if err != nil {
		return err
	}
	for n := range all {
		if !b.lost.contains(key.Checkpoint(n)) {
			continue
		}
		from, err := b.observedUntil(n)
		if err != nil {
			return err
		}
		b.lose(n, loss{from, 0, whyCurrent})
	}
	return nil
}

func (b *rebuild) observedUntil(n uint16) (until uint64, err error) {
	if b.spare != nil {
		until = b.spare.observed[n]
	}
	err = b.days(func(day uint16) error {
		e := key.Entry{Class: key.ByResource, Resource: n}
		k, _, err := b.r.newest(e.Prefix(day), key.MaxTS)
		if err == nil && k != nil {
			until = max(until, timeBehind(k, e.Prefix(day), 0))
		}
		return err
	})
	return cmp.Or(until, max(key.Start(b.r.floor), key.Start(min(oldestDay(b.r.txn), 1<<16-1)))), err
}

// loseForgotten makes losses of resources whose current state is not known for any other reason.
func (b *rebuild) loseForgotten() error {
	for n := range b.relist {
		if slices.ContainsFunc(b.losses[n], func(l loss) bool { return l.to == 0 }) {
			continue
		}
		from, err := b.observedUntil(n)
		if err != nil {
			return err
		}
		b.lose(n, loss{from, 0, whyCurrent})
	}
	return nil
}

// maxLosses bounds the gaps of one resource that a repair makes: those next to each other become one.
const maxLosses = 16

// writeGaps writes a gap for each loss of a resource, and withdraws its checkpoint if there is one without an end: the sync that
// follows is the end. What is lost of an unknown resource is lost of all.
func (b *rebuild) writeGaps() error {
	all, err := b.resources()
	if err != nil {
		return err
	}
	for n := range all {
		for _, l := range joined(append(slices.Clone(b.losses[n]), b.losses[0]...)) {
			if err := b.writeGap(n, l); err != nil {
				return err
			}
		}
	}
	return nil
}

// joined returns losses in their order, of which none touch; at most maxLosses.
func joined(all []loss) (list []loss) {
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

func (b *rebuild) writeGap(n uint16, l loss) error {
	open, taken := uint64(0), map[uint64]bool{}
	err := b.r.each(key.Gaps(n), func(item *badger.Item) error {
		_, start, err := key.DecodeGap(item.Key())
		if err != nil {
			return nil //nolint:nilerr // it is none
		}
		taken[start] = true
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
	for taken[l.from] {
		l.from--
	}
	g := history.Gap{Reason: history.GapDamaged, Detail: l.why}
	expires := uint64(0)
	if l.to == 0 {
		at := moment(max(b.newest(), l.from))
		b.set(key.Checkpoint(n), codec.EncodeCheckpoint("", at), 0)
	}
	if l.to != 0 || open != 0 { // that one ends with the next sync, too
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
