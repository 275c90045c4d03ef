package local

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/archive"
	"github.com/watchhistory/watchhistory/pkg/daemon"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/durable"
)

// flushInterval is the time between two marks of the journal. After a kill, the
// file lacks at most this time and the delay of the recorder.
const flushInterval = time.Second

// Summary describes a complete recording.
type Summary struct {
	Start, End time.Time
	Bytes      int64 // of the file
	Versions   int64
	Initial    int64 // versions of objects that existed before
	Gaps       int64
	Resources  int       // that were observed
	Refused    []Refusal // that were not recorded
}

// Changes returns the number of changes that were recorded.
func (s *Summary) Changes() int64 { return s.Versions - s.Initial }

// journal copies what a daemon records into the recording's file.
type journal struct {
	daemon *daemon.Daemon
	began  time.Time
	opts   RecordOptions

	mu      sync.Mutex       // guards the fields below
	file    *os.File         // nil after close
	created bool             // the file did not exist before
	out     *archive.Journal // nil until something is written
	next    time.Time        // after the newest record that was written
	failed  error            // of a write; nothing is written afterwards

	// gaps and unrecorded are those of the end, once the watchers stop.
	stopped    bool
	gaps       []history.Gap
	unrecorded []history.UnrecordedResource
}

// newJournal opens the file. It keeps the contents of an existing one until
// something is written.
func newJournal(d *daemon.Daemon, began time.Time, o RecordOptions) (*journal, error) {
	j := &journal{daemon: d, began: began, next: began, opts: o}
	file, err := os.OpenFile(o.File, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	j.created = err == nil
	if errors.Is(err, os.ErrExist) {
		if !o.Overwrite {
			return nil, history.Errorf(history.Invalid, "%s exists", o.File)
		}
		if st, err := os.Stat(o.File); err == nil && !st.Mode().IsRegular() {
			return nil, history.Errorf(history.Invalid, "%s is not a regular file", o.File)
		}
		file, err = os.OpenFile(o.File, os.O_WRONLY, 0)
	}
	if err != nil {
		return nil, history.Errorf(history.Invalid, "create the recording: %v", err)
	}
	j.file = file
	return j, nil
}

// run writes the journal until ctx ends.
func (j *journal) run(ctx context.Context) {
	ticker := time.NewTicker(flushInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		j.flush(context.WithoutCancel(ctx)) // a write that is cut off ends the journal
	}
}

// flush writes what was recorded since the last call. An error is logged, and
// ends the journal: the file is valid up to the mark before.
func (j *journal) flush(ctx context.Context) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.failed != nil {
		return
	}
	if err := j.write(ctx); err != nil {
		j.failed = err
		j.opts.Logger.ErrorContext(ctx, "write to the recording failed, the end replaces it", "err", err)
	}
}

// write is flush with an error. The caller holds mu.
//
// Gaps are read before and after the records. One that is about to close is
// kept until the records that close it are written.
func (j *journal) write(ctx context.Context) error {
	before, err := j.currentGaps(ctx)
	if err != nil {
		return err
	}
	next := j.next
	err = j.daemon.Log().Excerpt(ctx, history.Extent{Start: j.next}, func(e *history.Excerpt) error {
		after, err := j.currentGaps(ctx)
		if err != nil {
			return err
		}
		// The excerpt's catalogue begins where the excerpt does.
		if e.Catalogue, err = j.daemon.Log().Resources(ctx); err != nil {
			return err
		}
		e.Gaps = joinGaps(before, after)
		e.Unrecorded, e.Watched = j.currentUnrecorded(), j.opts.Namespace
		records := e.Records
		e.Records = func(yield func(*history.Record, error) bool) {
			for r, err := range records {
				if err == nil {
					next = r.Time.Add(1)
				}
				if !yield(r, err) {
					return
				}
			}
		}
		if err := j.begin(e.Cluster); err != nil {
			return err
		}
		return j.out.Append(e)
	})
	if history.CodeOf(err) == history.Invalid { // the clock has not advanced
		return nil
	}
	if err != nil {
		return err
	}
	j.next = next
	return j.file.Sync()
}

// begin replaces what the file contained before, once.
func (j *journal) begin(cluster types.UID) (err error) {
	if j.out != nil {
		return nil
	}
	if err := j.file.Truncate(0); err != nil {
		return err
	}
	j.out, err = archive.NewJournal(j.file, archive.Header{
		Start: j.began, Cluster: cluster, Watched: j.opts.Namespace, Created: j.began, MadeBy: j.opts.MadeBy,
	})
	return err
}

// observe keeps what is known of the watchers, which are about to stop.
func (j *journal) observe(ctx context.Context) {
	j.mu.Lock()
	defer j.mu.Unlock()
	gaps, err := j.currentGaps(ctx)
	if err != nil {
		j.opts.Logger.WarnContext(ctx, "read gaps failed, open ones may be missing", "err", err)
	}
	j.unrecorded = j.currentUnrecorded()
	j.gaps, j.stopped = gaps, true
}

// currentGaps returns the gaps of the recording, including those of resources
// that are not observed now. The caller holds mu.
func (j *journal) currentGaps(ctx context.Context) ([]history.Gap, error) {
	if !j.stopped {
		return j.daemon.Gaps(ctx, j.began)
	}
	gaps, err := j.daemon.Log().Gaps(ctx, nil, j.began, time.Time{})
	return joinGaps(j.gaps, gaps), err
}

// currentUnrecorded returns the resources that are not recorded. The caller
// holds mu.
func (j *journal) currentUnrecorded() []history.UnrecordedResource {
	if j.stopped {
		return j.unrecorded
	}
	return j.daemon.Unrecorded()
}

// joinGaps returns the gaps of two lists, ordered by start. Of two gaps of a
// resource with the same start, it returns the one of the second list.
func joinGaps(first, second []history.Gap) []history.Gap {
	all := slices.Clone(second)
	for _, g := range first {
		if !slices.ContainsFunc(second, func(o history.Gap) bool {
			return o.GroupResource() == g.GroupResource() && o.Start.Equal(g.Start)
		}) {
			all = append(all, g)
		}
	}
	slices.SortStableFunc(all, func(a, b history.Gap) int {
		return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.Group, b.Group), cmp.Compare(a.Resource, b.Resource))
	})
	return all
}

// finish replaces the journal by an export of the whole recording. The daemon
// has stopped, and its database is open.
func (j *journal) finish(ctx context.Context) (Summary, error) {
	j.flush(context.WithoutCancel(ctx)) // in case that the export fails
	j.mu.Lock()
	defer j.mu.Unlock()
	gaps, err := j.currentGaps(ctx)
	if err != nil {
		return Summary{}, fmt.Errorf("finish the recording: %w", err)
	}
	out, err := durable.Create(j.opts.File)
	if err != nil {
		return Summary{}, fmt.Errorf("finish the recording: %w", err)
	}
	var s Summary
	err = j.daemon.Log().Excerpt(ctx, history.Extent{Start: j.began}, func(e *history.Excerpt) (err error) {
		s, err = j.export(out, e, gaps)
		return err
	})
	if err == nil {
		// Some systems don't replace a file that is open.
		err = errors.Join(j.file.Close(), out.Commit())
		j.file = nil
	}
	if err != nil {
		return Summary{}, errors.Join(fmt.Errorf("finish the recording: %w", err), out.Discard())
	}
	return s, nil
}

// export writes the export, and returns what it contains.
func (j *journal) export(out *durable.File, e *history.Excerpt, gaps []history.Gap) (Summary, error) {
	e.Gaps, e.Unrecorded, e.Watched = gaps, j.currentUnrecorded(), j.opts.Namespace
	s := Summary{Start: e.Start, End: e.End}
	for _, r := range e.Catalogue {
		if !r.Since.IsZero() {
			s.Resources++
		}
	}
	records := e.Records
	e.Records = func(yield func(*history.Record, error) bool) {
		for r, err := range records {
			if err == nil && r.Initial {
				s.Initial++
			}
			if !yield(r, err) {
				return
			}
		}
	}
	counts, err := archive.Write(out, e, j.opts.MadeBy, time.Now(), nil)
	if err != nil {
		return s, err
	}
	s.Versions, s.Gaps = counts.Versions, counts.Gaps
	st, err := out.Stat()
	if err != nil {
		return s, err
	}
	s.Bytes = st.Size()
	return s, nil
}

// close closes the file. It removes one that it created if nothing was written.
func (j *journal) close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.file == nil {
		return nil
	}
	err := j.file.Close()
	j.file = nil
	if j.created && j.out == nil {
		err = errors.Join(err, os.Remove(j.opts.File))
	}
	return err
}
