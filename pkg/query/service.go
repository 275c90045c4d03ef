package query

import (
	"context"
	"iter"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/symptom"
)

// Reader is the part of the log that questions are answered from. Its methods
// must be safe for concurrent use.
type Reader interface {
	// Scan yields the records of the scan, in its order. The caller owns them.
	// An error comes with a nil record and ends the iteration.
	Scan(ctx context.Context, scan history.Scan) iter.Seq2[*history.Record, error]
	// Count counts the records that the filter selects, up to most. If exact is
	// false, it stopped early, and there are at least n.
	Count(ctx context.Context, filter history.Filter, most int) (n int, exact bool, err error)
	// Objects returns the first record of each object that the scan selects, in
	// its order and without bodies: at most its limit, if it has one. It looks
	// at no more than "most" versions. If complete is false, there may be
	// further objects. The caller owns the records.
	Objects(ctx context.Context, scan history.Scan, most int) (first []*history.Record, complete bool, err error)
	// MayMatch reports for each filter whether the log may have a version that
	// it selects. If it reports false, there is none. For filters with an owner
	// or a target, it costs much less than as many scans.
	MayMatch(ctx context.Context, filters []history.Filter) (may []bool, err error)
	// State yields a page of a state. The rules of Scan apply. A time before
	// the retention is a [history.NotFound] error.
	State(ctx context.Context, scan history.StateScan) iter.Seq2[*history.Record, error]
	// Compare yields a page of the differences between two states. An error
	// comes with a zero difference. The rules of State apply.
	Compare(ctx context.Context, scan history.CompareScan) iter.Seq2[history.Difference, error]
	// Resources returns the catalogue.
	Resources(ctx context.Context) ([]history.Resource, error)
	// Gaps returns the gaps of the resources, or of all if there are none, that
	// touch the time from start to end. A zero end means no end. The gaps are
	// ordered by their starts.
	Gaps(ctx context.Context, resources []schema.GroupResource, start, end time.Time) ([]history.Gap, error)
}

// Options bound the cost of one answer, and give access to data that the log
// does not contain. Zero fields have defaults. The functions are called at most
// once per question, concurrently.
type Options struct {
	// Effort bounds the records that are counted, those that are read for
	// their owners and targets, and those that are compared with a selector. In
	// the last case, each 4 KiB of an object count as another record. Default:
	// 100,000.
	Effort int
	// PageBytes bounds the objects of one answer, in bytes. Default: 32 MiB.
	PageBytes int
	// Descendants bounds the descendants whose Events are read, newest first.
	// Default: 1,000.
	Descendants int
	// IgnoreRules returns the current ignore rules. Default: none.
	IgnoreRules func() []history.IgnoreRule
	// Symptoms returns rules for symptoms in addition to those of package
	// symptom. Default: none.
	Symptoms func() *symptom.Extra
	// Served returns the resources of the last discovery, recorded or not. They
	// resolve types that the catalogue does not have, because Events may regard
	// objects of any type. Default: none.
	Served func() []history.Resource
	// Unrecorded returns the cluster's resources that are not recorded.
	// Default: none.
	Unrecorded func() []history.UnrecordedResource
	// LastRead returns when the last complete read of the documents began, or
	// zero. Default: zero.
	LastRead func(context.Context) (time.Time, error)
	// EarlierNamespaces applies rights in a namespace also to the objects of
	// earlier namespaces of the same name, and of a namespace that does not
	// exist now.
	EarlierNamespaces bool
	// Feed reports the commits of the log. Without one, the log can't be
	// followed. Default: none.
	Feed Feed
	// Now returns the present time, for questions about it. Default: time.Now.
	Now func() time.Time
}

// The defaults of [Options], and the depth to which ownership is followed. The
// chains of Kubernetes itself have three links.
const (
	defaultEffort      = 100_000
	defaultPageBytes   = 32 << 20
	defaultDescendants = 1_000
	ownershipDepth     = 10
)

// Service answers questions. It is safe for concurrent use.
type Service struct {
	reader  Reader
	options Options
	caller  Authorizer // nil: may read everything
}

// New returns a service that reads from a log.
func New(reader Reader, o Options) *Service {
	if o.Effort <= 0 {
		o.Effort = defaultEffort
	}
	if o.PageBytes <= 0 {
		o.PageBytes = defaultPageBytes
	}
	if o.Descendants <= 0 {
		o.Descendants = defaultDescendants
	}
	if o.IgnoreRules == nil {
		o.IgnoreRules = func() []history.IgnoreRule { return nil }
	}
	if o.Symptoms == nil {
		o.Symptoms = func() *symptom.Extra { return nil }
	}
	if o.Served == nil {
		o.Served = func() []history.Resource { return nil }
	}
	if o.Unrecorded == nil {
		o.Unrecorded = func() []history.UnrecordedResource { return nil }
	}
	if o.LastRead == nil {
		o.LastRead = func(context.Context) (time.Time, error) { return time.Time{}, nil }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Service{reader: reader, options: o}
}

// Version is a record with its summary. It has its object unless the question
// was Bare.
type Version struct {
	*history.Record

	// Summary describes in a few words what changed since the previous version.
	// It is empty if only noise changed.
	Summary string
	// Problem is the problem of the object, in the words of its status. It is
	// empty if there is none.
	Problem string
	// Ending is how a root change ended. It is nil unless the question asked
	// for [Timeline.Endings].
	Ending *Ending
	// Previous is the object in the version before an update. It is nil unless
	// the question asked for [Timeline.Previous], and if that version is not
	// known.
	Previous []byte
}

// Page is a part of an answer, in the question's order.
type Page struct {
	// Versions are nil if the question's Each received them.
	Versions []Version
	// Count is the number of versions, and End the position after the last one.
	// End is zero if there are none.
	Count int
	End   history.Cursor
	// Total is the number of matches of the whole question or, if it is not
	// Exact, a lower bound.
	Total int
	Exact bool
	// More reports whether matches follow after Next. If a question with a
	// selector reached a bound, it is not known whether any do.
	More bool
	Next history.Cursor
	// Final means that new records do not change the page: the question's time
	// is over, and none of its gaps is open. The caller's rights, the
	// retention, and repairs of the log may still change it.
	Final bool
	// Gaps touch the question's time and resources, also those outside of the
	// page. They are ordered by their starts.
	Gaps []history.Gap
	// Ignored has the current rules that ignore a part of the question's
	// resources and namespaces.
	Ignored []history.IgnoreRule
	// Coverage describes the question's resources and namespaces.
	Coverage Coverage
	// Restricted means that the caller may read less than the question is
	// about. It depends on rights, and not on what is recorded.
	Restricted bool

	bytes int  // of the versions' objects
	early bool // More, because a bound was reached
}

// ClusterUID returns the UID of the recorded cluster, or "" if it is not
// recorded: see [history.ClusterUID]. It is not a secret, so the rights of the
// caller do not matter.
func (s *Service) ClusterUID(ctx context.Context) (types.UID, error) {
	return history.ClusterUID(ctx, s.reader.State, s.options.Now())
}
