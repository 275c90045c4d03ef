package query

import (
	"context"
	"fmt"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// Limits of one read of the log. The last record may exceed maxReadBytes.
const (
	maxRead      = 128
	maxReadBytes = 2 << 20 // of objects
	firstRead    = 32      // records, before the size of the page's objects is known
)

// pageBuilder makes a page of records that are added in the page's order. It
// holds the records of one read of the log.
//
// It must be flushed when no scan is running: summarizing may read the log, and
// a scan within a scan would wait for a repair that waits for the outer scan.
//
// It must be used by one goroutine.
type pageBuilder struct {
	page         Page
	order        history.Order
	each         func(*Version) error
	hide         func(context.Context, []Version) error // what the caller may not see
	summarizer   *summarizer
	pending      []*history.Record
	pendingBytes int
}

// newPage returns the builder of an empty page. If each is nil, the page
// collects the versions.
func (s *Service) newPage(order history.Order, each func(*Version) error) *pageBuilder {
	b := &pageBuilder{
		page: Page{Exact: true}, order: order, each: each, hide: s.hideHashes, summarizer: newSummarizer(s.reader),
	}
	if each == nil {
		b.each = func(v *Version) error { b.page.Versions = append(b.page.Versions, *v); return nil }
	}
	return b
}

// add adds the next record.
func (b *pageBuilder) add(r *history.Record) {
	b.pending = append(b.pending, r)
	b.pendingBytes += len(r.Object)
	b.page.Count++
	b.page.bytes += len(r.Object)
	b.page.End = history.Cursor{Time: r.Time}
}

// isFull reports whether the builder must be flushed before the next record.
func (b *pageBuilder) isFull() bool {
	return len(b.pending) >= maxRead || b.pendingBytes >= maxReadBytes
}

// nextRead returns how many records the next scan should read. A scan that is
// stopped has read objects in advance that are not used.
func (b *pageBuilder) nextRead() int {
	switch {
	case b.page.Count == 0:
		return firstRead
	case b.page.bytes == 0:
		return maxRead
	default:
		return min(max(maxReadBytes*b.page.Count/b.page.bytes, 1), maxRead)
	}
}

// flush passes the versions of the records on, and drops them. It summarizes
// them oldest first, because a version is compared with its previous one.
func (b *pageBuilder) flush(ctx context.Context) error {
	versions := make([]Version, len(b.pending))
	for n := range b.pending {
		i := n
		if b.order == history.NewestFirst {
			i = len(b.pending) - 1 - n
		}
		r := b.pending[i]
		described, err := b.summarizer.summary(ctx, r)
		if err != nil {
			return fmt.Errorf("compare %s with its previous version: %w", r.Ref, err)
		}
		versions[i] = Version{Record: r, Summary: described.Text, Problem: described.Problem}
	}
	if err := b.hide(ctx, versions); err != nil {
		return err
	}
	clear(b.pending) // lets the collector free the objects
	b.pending, b.pendingBytes = b.pending[:0], 0
	for i := range versions {
		if err := b.each(&versions[i]); err != nil {
			return err
		}
	}
	return nil
}

// finish returns the page, whose Total is its number of versions.
func (b *pageBuilder) finish(ctx context.Context) (Page, error) {
	if err := b.flush(ctx); err != nil {
		return Page{}, err
	}
	b.page.Total = b.page.Count
	if b.page.More {
		b.page.Next = b.page.End
	}
	return b.page, nil
}
