package query

import (
	"context"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/selector"
)

// How many records a search reads at a time. It begins with few, so that small
// pages stay cheap, and doubles.
const (
	minChunk = 32
	maxChunk = 512
)

// The effort of a search, in records. An object of effortBytes costs as much as
// a record without its object. A previous version costs several, because the
// log is searched for it.
const (
	effortBytes    = 4 << 10
	effortPrevious = 4
	countFraction  = 10 // of the effort is spent on an expensive total
	placesCost     = 2  // of a record in one of some places, while matches are counted
)

// search reads the records that a scan and a selector select, chunk by chunk.
// It ends early if its effort is used up, or half of the time that its context
// has. So an answer that takes long is a short page, and not an error.
type search struct {
	service  *Service
	selector *selector.Selector
	scan     history.Scan // of the records that were not read yet; its limit is that of the page
	bare     bool         // the page has no objects
	chunk    int          // how many records are read next
	effort   int          // that is left
	stop     time.Time    // zero: never
	done     bool         // the scan has ended

	versions *summarizer     // caches previous versions
	hidden   map[string]bool // whether the caller may not see hashes, by namespace
}

// newSearch returns a search that begins where the scan does.
func (s *Service) newSearch(ctx context.Context, scan history.Scan, sel *selector.Selector, effort int) *search {
	bare := !scan.Bodies
	scan.Bodies = scan.Bodies || sel.NeedsObject()
	m := &search{
		service: s, selector: sel, scan: scan, bare: bare, chunk: minChunk, effort: effort,
		versions: newSummarizer(s.reader),
		hidden:   map[string]bool{},
	}
	if deadline, limited := ctx.Deadline(); limited {
		m.stop = time.Now().Add(time.Until(deadline) / 2)
	}
	return m
}

// exhausted reports whether the search must not read another chunk.
func (m *search) exhausted() bool {
	return m.effort <= 0 || !m.stop.IsZero() && time.Now().After(m.stop)
}

// next reads the next records of the scan, in its order. Those that the
// selector selects are true.
//
// The scan of a chunk has ended before previous versions are read: a scan must
// not wait for another one.
func (m *search) next(ctx context.Context) ([]*history.Record, []bool, error) {
	scan := m.scan
	c := m.nextChunk()
	scan.Limit = c.limit
	for r, err := range m.service.reader.Scan(ctx, scan) {
		if err != nil {
			return nil, nil, err
		}
		if c.add(r); c.isFull() {
			break
		}
	}
	m.done = !c.isFull()
	if n := len(c.records); n > 0 {
		m.scan.After = history.Cursor{Time: c.records[n-1].Time}
	}
	selected, err := m.match(ctx, c.records)
	return c.records, selected, err
}

// chunk is what a search reads before it compares the records with the
// selector.
type chunk struct {
	search  *search
	limit   int // records
	records []*history.Record
	size    int // bytes of their objects
}

// nextChunk returns the next chunk, which is empty.
func (m *search) nextChunk() chunk {
	limit := max(min(m.chunk, m.effort), 1)
	m.chunk = min(2*m.chunk, maxChunk)
	return chunk{search: m, limit: limit}
}

// add adds the next record.
func (c *chunk) add(r *history.Record) {
	c.records = append(c.records, r)
	c.size += len(r.Object)
	c.search.effort -= 1 + len(r.Object)/effortBytes
}

// isFull reports whether the chunk has all of its records.
func (c *chunk) isFull() bool { return len(c.records) >= c.limit || c.size > maxReadBytes }

// count counts the matches of all records that are left, until the effort is
// used up. It sets done if it has counted all of them.
//
// If the selector does not need previous versions, all chunks are read by one
// scan: each scan of a caller with rights in many namespaces first looks for
// its place in all of them.
func (m *search) count(ctx context.Context) (n int, err error) {
	add := func(selected []bool) {
		for _, matches := range selected {
			if matches {
				n++
			}
		}
	}
	if m.selector.NeedsPrevious() {
		for !m.done && !m.exhausted() {
			_, selected, err := m.next(ctx)
			if err != nil {
				return n, err
			}
			add(selected)
		}
		return n, nil
	}
	if m.exhausted() {
		return 0, nil
	}
	scan := m.scan
	scan.Limit = max(m.effort, 1) // the chunks have fewer
	c := m.nextChunk()
	for r, err := range m.service.reader.Scan(ctx, scan) {
		if err != nil {
			return n, err
		}
		if c.add(r); !c.isFull() {
			continue
		}
		selected, err := m.match(ctx, c.records)
		if err != nil {
			return n, err
		}
		if add(selected); m.exhausted() {
			return n, nil
		}
		c = m.nextChunk()
	}
	m.done = true
	selected, err := m.match(ctx, c.records)
	add(selected)
	return n, err
}

// match evaluates the selector for a chunk, the oldest record first, so that
// most previous versions are in the cache.
func (m *search) match(ctx context.Context, chunk []*history.Record) ([]bool, error) {
	selected := make([]bool, len(chunk))
	for i := range chunk {
		if m.scan.Order == history.NewestFirst {
			i = len(chunk) - 1 - i
		}
		matches, err := m.matches(ctx, chunk[i])
		if err != nil {
			return nil, err
		}
		selected[i] = matches
		if m.scan.Bodies && m.selector.NeedsPrevious() {
			m.versions.cache(chunk[i])
		}
	}
	return selected, nil
}

// matches reports whether the selector selects a record in the form that the
// caller may see.
func (m *search) matches(ctx context.Context, r *history.Record) (bool, error) {
	visible, err := m.visible(ctx, r)
	if err != nil || !m.selector.MatchesObject(visible) {
		return false, err
	}
	if text := m.selector.Text; text != nil {
		described, err := m.describe(ctx, r, visible)
		if err != nil || !text.MatchesVersion(visible, described) {
			return false, err
		}
	}
	if m.selector.Expression == nil {
		return true, nil
	}
	previous := func() (*history.Record, error) {
		reads := m.versions.reads
		before, err := m.versions.before(ctx, r)
		m.effort -= effortPrevious * (m.versions.reads - reads)
		// The view contains all versions of an incarnation, or none.
		if err != nil || before == nil || !m.scan.View.Contains(before) {
			return nil, err
		}
		return m.visible(ctx, before)
	}
	return m.selector.Expression.Matches(ctx, selector.Version{
		Record: visible, Previous: previous,
		Problem: func() (string, error) {
			described, err := m.describe(ctx, r, visible)
			return described.Problem, err
		},
		Newest:  func() (bool, error) { return m.isNewest(ctx, r) },
		Created: func() (bool, error) { return m.isCreated(ctx, r) },
	})
}

// isNewest reports whether there is no later version of a record's object.
func (m *search) isNewest(ctx context.Context, r *history.Record) (bool, error) {
	m.effort -= effortPrevious
	later := history.Scan{Filter: exactly(r.Ref), Limit: 1}
	later.Start = r.Time.Add(1)
	for _, err := range m.service.reader.Scan(ctx, later) {
		return false, err
	}
	return true, nil
}

// isCreated reports whether the creation of a record's object was recorded: the
// object did not exist before its first version.
func (m *search) isCreated(ctx context.Context, r *history.Record) (bool, error) {
	m.effort -= effortPrevious
	for first, err := range m.service.reader.Scan(ctx, history.Scan{Filter: exactly(r.Ref), Limit: 1}) {
		return err == nil && first.Verb == history.Create && !first.Initial, err
	}
	return false, nil
}

// describe returns the summary of a record, as the caller may see it. If it is
// not stored, previous versions are read.
func (m *search) describe(ctx context.Context, r, visible *history.Record) (history.Summary, error) {
	if visible.Summary != nil {
		return *visible.Summary, nil
	}
	reads := m.versions.reads
	described, err := m.versions.summary(ctx, r)
	m.effort -= effortPrevious * (1 + m.versions.reads - reads)
	if visible != r {
		described.Text, described.Problem = hide(described.Text), hide(described.Problem)
	}
	return described, err
}

// visible returns a record as the caller may see it: without the hashes of
// Secrets that he may list but not get.
//
// Hashes are visible if the caller may get all Secrets of the namespace, or the
// one that the question names. Rights on other single Secrets are not reviewed:
// each would take a request.
func (m *search) visible(ctx context.Context, r *history.Record) (*history.Record, error) {
	if m.service.caller == nil || !isSecret(r) {
		return r, nil
	}
	hidden, known := m.hidden[r.Ref.Namespace]
	if !known {
		of := r.Ref
		of.Name = m.scan.Name // empty, or that of all records of the scan
		allowed, err := m.service.mayGet(ctx, &of)
		if err != nil {
			return nil, &RightsError{err}
		}
		hidden = !allowed
		m.hidden[r.Ref.Namespace] = hidden
	}
	if hidden {
		return withoutHashes(r), nil
	}
	return r, nil
}

// page reads one page of matches, and passes its versions to each. A page that
// ends early because of the effort has More.
func (m *search) page(ctx context.Context, each func(*Version) error) (Page, error) {
	b := m.service.newPage(m.scan.Order, each)
	var last history.Cursor // the position up to which the page is complete
	early := false
	for !m.done && !b.page.More && !early {
		chunk, selected, err := m.next(ctx)
		if err != nil {
			return Page{}, err
		}
		for i, r := range chunk {
			if selected[i] && !m.add(b, r) {
				break
			}
			last.Time = r.Time
		}
		if err := b.flush(ctx); err != nil {
			return Page{}, err
		}
		early = !b.page.More && !m.done && m.exhausted()
	}
	page, err := b.finish(ctx)
	if page.early, page.More = early, page.More || early; page.More {
		page.Next = last
	}
	return page, err
}

// add adds a match to a page. If the page is full, it reports false instead,
// and the page has More.
func (m *search) add(b *pageBuilder, r *history.Record) bool {
	if m.bare {
		r = withoutObject(r)
	}
	full := b.page.Count > 0 && b.page.bytes+len(r.Object) > m.service.options.PageBytes
	if full || b.page.Count == m.scan.Limit {
		b.page.More = true
		return false
	}
	b.add(r)
	return true
}

// countMatches counts the records that a filter and a selector select. It
// reports false if there may be more than n.
//
// Records in some [places] only lie apart, and reading one costs up to half as
// much again. So fewer are counted, and a page for a caller with few rights
// does not cost more than one for an administrator.
func (s *Service) countMatches(
	ctx context.Context, f history.Filter, sel *selector.Selector,
) (n int, exact bool, err error) {
	effort := s.options.Effort / countFraction
	if places(&f) > 0 {
		effort /= placesCost
	}
	m := s.newSearch(ctx, history.Scan{Filter: f}, sel, max(effort, 1))
	n, err = m.count(ctx)
	return n, m.done, err
}

// withoutObject returns a copy of a record without its object.
func withoutObject(r *history.Record) *history.Record {
	c := *r
	c.Object = nil
	return &c
}
