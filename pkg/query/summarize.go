package query

import (
	"context"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/summary"
)

// maxSummarized bounds the objects that a summarizer caches, in bytes. The last
// one may exceed it.
const maxSummarized = 4 << 20

// summarizer summarizes the records of a page. It caches each object's newest
// version for the next one. When the cache is full, it is emptied.
//
// Most records have a stored summary. Otherwise the record is compared with its
// previous version. That costs a read if the previous version is not cached,
// and another one if the record has no object.
type summarizer struct {
	reader Reader
	newest map[history.ObjectRef]*history.Record
	size   int // of the cached objects, in bytes
	reads  int // of previous versions that were not in the cache
}

// newSummarizer returns a summarizer with an empty cache.
func newSummarizer(reader Reader) *summarizer {
	return &summarizer{reader: reader, newest: map[history.ObjectRef]*history.Record{}}
}

// summary returns the summary of the next record.
func (n *summarizer) summary(ctx context.Context, r *history.Record) (history.Summary, error) {
	if r.Summary != nil {
		n.cache(r)
		return *r.Summary, nil
	}
	full, err := n.withObject(ctx, r)
	if err != nil {
		return history.Summary{}, err
	}
	before, err := n.previous(ctx, full)
	if err != nil {
		return history.Summary{}, err
	}
	n.cache(full)
	var c *summary.Comparison
	if before != nil {
		c = summary.Compare(before.Object, full.Object)
	}
	return summary.Of(full, c), nil
}

// cache stores the newest version of an object.
func (n *summarizer) cache(r *history.Record) {
	if n.size > maxSummarized {
		clear(n.newest)
		n.size = 0
	}
	if r.Object != nil {
		if replaced := n.newest[r.Ref]; replaced != nil {
			n.size -= len(replaced.Object)
		}
		n.newest[r.Ref] = r
		n.size += len(r.Object)
	}
}

// withObject returns the record with its object. A record that has been dropped
// meanwhile is returned unchanged.
func (n *summarizer) withObject(ctx context.Context, r *history.Record) (*history.Record, error) {
	if r.Object != nil {
		return r, nil
	}
	scan := history.Scan{Filter: exactly(r.Ref), Limit: 1, Bodies: true}
	scan.Start, scan.End = r.Time, r.Time.Add(1)
	for full, err := range n.reader.Scan(ctx, scan) {
		return full, err
	}
	return r, nil
}

// previous returns the version before an update. It returns nil if that is not
// stored, and for records that are not compared.
func (n *summarizer) previous(ctx context.Context, r *history.Record) (*history.Record, error) {
	if !summary.NeedsPrevious(r) {
		return nil, nil
	}
	return n.before(ctx, r)
}

// before returns the previous version of a record, or nil if that is not
// stored.
func (n *summarizer) before(ctx context.Context, r *history.Record) (*history.Record, error) {
	if r.Revision <= 1 {
		return nil, nil
	}
	if last := n.newest[r.Ref]; last != nil && last.Revision+1 == r.Revision {
		return last, nil
	}
	scan := history.Scan{Filter: exactly(r.Ref), Order: history.NewestFirst, Limit: 1, Bodies: true}
	scan.End = r.Time
	n.reads++
	for before, err := range n.reader.Scan(ctx, scan) {
		if err != nil || before.Revision+1 != r.Revision { // a day between them may be lost
			return nil, err
		}
		return before, nil
	}
	return nil, nil
}

// exactly returns the filter of one incarnation.
func exactly(ref history.ObjectRef) history.Filter {
	f := history.Filter{Namespace: ref.Scope(), Name: ref.Name, UID: ref.UID}
	f.Resources = append(f.Resources, ref.GroupResource())
	return f
}
