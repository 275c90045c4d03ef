package store

import (
	"encoding/binary"

	badger "github.com/dgraph-io/badger/v4"

	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// Limits of the places of days that are kept in memory: about 100 bytes each
// time a resource has versions in a namespace during a week, at most 8 MB.
const (
	maxPlaceDays = 64
	maxPlaces    = 1 << 14 // of a day
)

// dayPlaces are the places that have versions in a day. They are nil if there
// are too many. A day that ended doesn't get any more.
type dayPlaces []place

// occupied returns the granted ranges of a plan that may have versions in a
// day. It returns all of them if they are few, and on the day of the newest
// record.
func (r *reader) occupied(p *plan, day uint16) ([]key.Entry, error) {
	if len(p.granted) <= fewRanges || day >= key.Day(r.s.last.Load()) {
		return p.granted, nil
	}
	places, err := r.placesOf(day)
	if err != nil || places == nil {
		return p.granted, err
	}
	ranges := []key.Entry{}
	for _, of := range p.granted {
		if of.Class != key.ByNamespace {
			ranges = append(ranges, of)
		}
	}
	for _, at := range places {
		if _, granted := p.view.pairs[at]; granted && p.contains(at.resource) {
			ranges = append(ranges, key.Entry{Class: key.ByNamespace, Resource: at.resource, Namespace: at.namespace})
		}
	}
	return ranges, nil
}

// placesOf returns the places of a day before that of the newest record, or nil
// if they are not known. They are read at most once.
func (r *reader) placesOf(day uint16) (dayPlaces, error) {
	if places, known := r.s.places.get(day); known {
		return places, nil
	}
	if ended, err := r.hasEnded(day); err != nil || !ended {
		return nil, err
	}
	places, err := r.readPlaces(day)
	if err != nil || r.droppedMeanwhile(day) {
		return nil, err
	}
	r.s.places.put(day, places)
	return places, nil
}

// hasEnded reports whether the reader sees all versions that a day will ever
// have: it sees one of a later day. Versions are committed in the order of
// their times.
func (r *reader) hasEnded(day uint16) (bool, error) {
	it := r.txn.NewIterator(badger.IteratorOptions{Prefix: []byte{key.History}})
	defer it.Close()
	for last := key.Day(r.s.last.Load()); day < last; {
		day++
		it.Seek(key.ClassPrefix(day, key.ByTime))
		if !it.Valid() {
			return false, nil
		}
		e, err := key.Decode(it.Item().Key())
		if err != nil {
			return false, err
		}
		if e.Class == key.ByTime {
			return true, nil
		}
		day = max(day, key.Day(e.TS)-1)
	}
	return false, nil
}

// readPlaces reads the places of a day with a seek for each of them. It returns
// nil if there are too many.
func (r *reader) readPlaces(day uint16) (dayPlaces, error) {
	prefix := key.ClassPrefix(day, key.ByNamespace)
	if err := r.integrity.checkPrefix(prefix); err != nil {
		return nil, err
	}
	it := r.txn.NewIterator(badger.IteratorOptions{Prefix: prefix})
	defer it.Close()
	places := dayPlaces{}
	for it.Rewind(); it.Valid(); {
		if err := r.s.stopErr(); err != nil {
			return nil, err
		}
		e, err := key.Decode(it.Item().Key())
		if err != nil {
			return nil, err
		}
		if len(places) == maxPlaces {
			return nil, nil
		}
		places = append(places, place{e.Resource, e.Namespace})
		it.Seek(afterTimes(e.Prefix(day)))
	}
	return places, nil
}

// afterTimes returns a key after all keys that have a prefix and a time.
func afterTimes(prefix []byte) []byte { return binary.BigEndian.AppendUint64(prefix, 1<<64-1) }
