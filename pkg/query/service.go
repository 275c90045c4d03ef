package query

import (
	"context"
	"iter"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// Reader is the part of the log that questions are answered from. A record that it yields belongs to the caller.
type Reader interface {
	Scan(ctx context.Context, scan history.Scan) iter.Seq2[*history.Record, error]
	Count(ctx context.Context, filter history.Filter, most int) (n int, exact bool, err error)
	Resources(ctx context.Context) ([]history.Resource, error)
	Gaps(ctx context.Context, resources []schema.GroupResource, start, end time.Time) ([]history.Gap, error)
}

// Options bound what one answer may cost, and say what no answer has. Zero fields take their defaults.
type Options struct {
	// Effort is the number of records that are counted, or gone through for what they refer to, before the rest is left
	// uncounted. Default: 100,000.
	Effort int
	// PageBytes is the size of all objects of one answer, in bytes, past which its pages are cut. Default: 32 MiB.
	PageBytes int
	// Descendants is the number of owned objects that are followed, the newest first. Default: 1,000.
	Descendants int
	// Omissions returns what the recorder's rules leave out now. Default: nothing.
	Omissions func() []history.IgnoreRule
	// Served returns the resources that the API server served at the last
	// discovery, recorded or not. They resolve types that the catalogue does not
	// have: Events regard objects of any type. Default: none.
	Served func() []history.Resource
	// Absent returns the resources of the cluster that are not recorded now.
	// Default: none.
	Absent func() []history.UnrecordedResource
}

// The defaults of [Options], and how far ownership is followed: Kubernetes' own chains have three links.
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
}

// New returns a service that reads from the log.
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
	if o.Omissions == nil {
		o.Omissions = func() []history.IgnoreRule { return nil }
	}
	if o.Served == nil {
		o.Served = func() []history.Resource { return nil }
	}
	if o.Absent == nil {
		o.Absent = func() []history.UnrecordedResource { return nil }
	}
	return &Service{reader: reader, options: o}
}

// Resources returns the catalogue: every resource that was ever recorded.
func (s *Service) Resources(ctx context.Context) ([]history.Resource, error) {
	return s.reader.Resources(ctx)
}

// Version is a record with what can be said about it in words. It has its object unless the question was for none.
type Version struct {
	*history.Record

	// Summary says in a few words what changed against the version before; "" where nothing but noise did.
	Summary string
	// Problem says what is wrong with the object by its own status, in the status' words; "" where nothing is.
	Problem string
}

// Page is a part of an answer, in the order that was asked for.
type Page struct {
	Versions []Version
	// Total is the number of matches of the whole question; at least so many, unless Exact.
	Total int
	Exact bool
	// More tells that matches follow behind Next.
	More bool
	Next history.Cursor
	// Gaps touch the whole question's time and resources, whatever the page holds of them, and are in the order of their
	// starts.
	Gaps []history.Gap
	// Omitted is what the rules that hold now leave out of the question's resources and namespace, whatever else narrows it.
	Omitted []history.IgnoreRule
	// Coverage is that of the question's resources and namespace.
	Coverage Coverage
}

// bytes returns the size of the page's objects.
func (p *Page) bytes() (n int) {
	for i := range p.Versions {
		n += len(p.Versions[i].Object)
	}
	return n
}
