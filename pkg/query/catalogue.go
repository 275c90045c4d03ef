package query

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// Catalogue is what the API server served at a time: the documents in which it
// describes that.
type Catalogue struct {
	At time.Time
	// Read is when the documents were last read completely. Later changes are
	// not known. It is zero if that is not known.
	Read      time.Time
	Version   []byte // the content of the document "version"; nil if it is not known
	Documents []Document
	Unread    []UnreadDocument
	Gaps      []history.Gap // that touch the time
}

// Document is a version of a document.
type Document struct {
	*history.Record // without its object

	Content history.DocumentVersion // zero in a deletion
	// Until is the next version, with which this one ended. It is nil if there
	// is none.
	Until *history.Record
}

// UnreadDocument is a path that could not be read at a time. Nothing is known
// about its document and about those below it.
type UnreadDocument struct {
	*history.Record // without its object

	Cause history.UnreadCause
}

// versionDocument is the document with the version of the API server.
const versionDocument = "version"

// Catalogue returns what the API server served at a time. The zero time is now.
// If no document that the caller may read was recorded at the time, the error
// is a [TimeError]. So it does not depend on other documents.
func (s *Service) Catalogue(ctx context.Context, at time.Time) (Catalogue, error) {
	at, err := s.documentTime(ctx, at)
	if err != nil {
		return Catalogue{}, err
	}
	c := Catalogue{At: at}
	records, err := s.reservedAt(ctx, history.Documents(), "", at, false)
	if err != nil {
		return c, err
	}
	unread, err := s.reservedAt(ctx, history.UnreadDocuments(), "", at, true)
	if err != nil {
		return c, err
	}
	if c.Documents, err = s.documentsAt(ctx, records, at); err != nil {
		return c, err
	}
	if c.Unread, err = s.unreadDocuments(ctx, unread); err != nil {
		return c, err
	}
	if len(c.Documents)+len(c.Unread) == 0 {
		return c, &TimeError{at, history.Errorf(history.NotFound, "the catalogue was not recorded at %s",
			at.Format(time.RFC3339Nano))}
	}
	for _, d := range c.Documents {
		if d.Ref.Name == versionDocument {
			if c.Version, err = s.content(ctx, d.Record); err != nil {
				return c, err
			}
		}
	}
	if c.Gaps, err = s.documentGaps(ctx, at, at.Add(1)); err != nil {
		return c, err
	}
	c.Read, err = s.options.LastRead(ctx)
	return c, err
}

// documentTime returns the time of a question about documents.
func (s *Service) documentTime(ctx context.Context, at time.Time) (time.Time, error) {
	now := s.options.Now().UTC()
	for r, err := range s.reader.Scan(ctx, history.Scan{
		Filter: history.Filter{Resources: history.ReservedResources()}, Order: history.NewestFirst, Limit: 1,
	}) {
		if err != nil {
			return at, err
		}
		if r.Time.After(now) {
			now = r.Time
		}
	}
	_, at, _, err := pin(time.Time{}, at, &history.StateCursor{}, now, time.Time{})
	return at, err
}

// reservedAt returns the objects of a reserved resource at a time, of one name
// if it is not empty.
func (s *Service) reservedAt(
	ctx context.Context, r schema.GroupResource, name string, at time.Time, bodies bool,
) (records []*history.Record, err error) {
	f := history.Filter{Name: name}
	f.Resources = append(f.Resources, r)
	for r, err := range s.reader.State(ctx, history.StateScan{Filter: f, At: at, Bodies: bodies}) {
		if err != nil {
			return nil, tooOld(at, err)
		}
		records = append(records, r)
	}
	return records, nil
}

// documentsAt returns the documents that the caller may read, with the versions
// that ended them.
func (s *Service) documentsAt(ctx context.Context, records []*history.Record, at time.Time) ([]Document, error) {
	records, err := s.visibleDocuments(ctx, records)
	if err != nil || len(records) == 0 {
		return nil, err
	}
	documents, byName := make([]Document, len(records)), make(map[string]*Document, len(records))
	for i, r := range records {
		if documents[i], err = newDocument(r); err != nil {
			return nil, err
		}
		byName[r.Ref.Name] = &documents[i]
	}
	later := history.Filter{Start: at.Add(1)}
	later.Resources = append(later.Resources, history.Documents())
	for r, err := range s.reader.Scan(ctx, history.Scan{Filter: later, Limit: s.options.Effort}) {
		if err != nil {
			return nil, err
		}
		if d := byName[r.Ref.Name]; d != nil {
			d.Until = r
			delete(byName, r.Ref.Name)
		}
		if len(byName) == 0 {
			break
		}
	}
	return documents, nil
}

// newDocument returns the version of a document that a record has.
func newDocument(r *history.Record) (d Document, err error) {
	d.Record = r
	if r.Verb == history.Delete {
		return d, nil
	}
	if d.Content, err = history.ParseDocumentVersion(r.RV); err != nil {
		return d, fmt.Errorf("document %s: %w", r.Ref.Name, err)
	}
	return d, nil
}

// unreadDocuments returns the unread paths that the caller may read.
func (s *Service) unreadDocuments(ctx context.Context, records []*history.Record) ([]UnreadDocument, error) {
	records, err := s.visibleDocuments(ctx, records)
	if err != nil {
		return nil, err
	}
	unread := make([]UnreadDocument, len(records))
	for i, r := range records {
		content, err := history.DecodeDocument(r.Ref.Name, r.Object)
		if err == nil {
			err = json.Unmarshal(content, &unread[i].Cause)
		}
		if err != nil {
			return nil, fmt.Errorf("unread document %s: %w", r.Ref.Name, err)
		}
		unread[i].Record = r
	}
	return unread, nil
}

// visibleDocuments returns the records of the paths that the caller may get.
func (s *Service) visibleDocuments(ctx context.Context, records []*history.Record) ([]*history.Record, error) {
	if s.caller == nil {
		return records, nil
	}
	allowed := make([]bool, len(records))
	err := eachConcurrently(ctx, len(records), func(ctx context.Context, i int) (err error) {
		allowed[i], err = s.caller.Path(ctx, "/"+records[i].Ref.Name)
		return err
	})
	if err != nil {
		return nil, &RightsError{err}
	}
	var visible []*history.Record
	for i, r := range records {
		if allowed[i] {
			visible = append(visible, r)
		}
	}
	return visible, nil
}

// documentGaps returns the times between start and end in which changes of the
// documents may be missing. A zero end means no end.
func (s *Service) documentGaps(ctx context.Context, start, end time.Time) ([]history.Gap, error) {
	var documents []schema.GroupResource
	return s.reader.Gaps(ctx, append(documents, history.Documents()), start, end)
}

// content returns the content of a version of a document, whose record may be
// without its object.
func (s *Service) content(ctx context.Context, of *history.Record) ([]byte, error) {
	f := history.Filter{Name: of.Ref.Name, UID: of.Ref.UID, Start: of.Time, End: of.Time.Add(1)}
	f.Resources = append(f.Resources, of.Ref.GroupResource())
	for r, err := range s.reader.Scan(ctx, history.Scan{Filter: f, Limit: 1, Bodies: true}) {
		if err != nil {
			return nil, err
		}
		return history.DecodeDocument(r.Ref.Name, r.Object)
	}
	return nil, history.Errorf(history.NotFound, "document %s of %s is not stored any more",
		of.Ref.Name, of.Time.Format(time.RFC3339Nano))
}

// DocumentQuery selects one version of a document.
type DocumentQuery struct {
	Name string
	At   time.Time // inclusive; zero: now
	Hash string    // the version with this content, at any time; it replaces At
}

// Document returns a version of a document without its content, and a function
// that reads the content. A document that was not served at the time, or that
// the caller may not read, is a [history.NotFound] error.
func (s *Service) Document(
	ctx context.Context, q DocumentQuery,
) (d Document, content func() ([]byte, error), err error) {
	if err := s.checkDocument(ctx, q.Name); err != nil {
		return d, nil, err
	}
	var found *history.Record
	if q.Hash != "" {
		found, err = s.documentWithHash(ctx, q)
	} else {
		found, err = s.documentAt(ctx, q)
	}
	if err != nil {
		return d, nil, err
	}
	d, err = newDocument(found)
	return d, func() ([]byte, error) { return s.content(ctx, found) }, err
}

// checkDocument returns an error if the caller may not read a document. It is
// that of a document that does not exist.
func (s *Service) checkDocument(ctx context.Context, name string) error {
	if s.caller == nil {
		return nil
	}
	switch allowed, err := s.caller.Path(ctx, "/"+name); {
	case err != nil:
		return &RightsError{err}
	case !allowed:
		return noDocument(name)
	default:
		return nil
	}
}

// noDocument returns the error of a document that was never recorded, or that
// the caller may not read.
func noDocument(name string) error {
	return history.Errorf(history.NotFound, "document %q is not recorded", name)
}

// documentAt returns the version that a document had at a time.
func (s *Service) documentAt(ctx context.Context, q DocumentQuery) (*history.Record, error) {
	at, err := s.documentTime(ctx, q.At)
	if err != nil {
		return nil, err
	}
	records, err := s.reservedAt(ctx, history.Documents(), q.Name, at, false)
	if err != nil {
		return nil, err
	}
	if len(records) > 0 {
		return records[0], nil
	}
	f := history.Filter{Name: q.Name}
	f.Resources = append(f.Resources, history.Documents())
	if n, _, err := s.reader.Count(ctx, f, 1); n == 0 || err != nil {
		if err == nil {
			err = noDocument(q.Name)
		}
		return nil, err
	}
	return nil, &TimeError{at, history.Errorf(history.NotFound, "document %q was not served at %s",
		q.Name, at.Format(time.RFC3339Nano))}
}

// documentWithHash returns the newest version of a document with a content.
func (s *Service) documentWithHash(ctx context.Context, q DocumentQuery) (*history.Record, error) {
	f := history.Filter{Name: q.Name}
	f.Resources = append(f.Resources, history.Documents())
	for r, err := range s.reader.Scan(ctx, history.Scan{
		Filter: f, Order: history.NewestFirst, Limit: s.options.Effort,
	}) {
		if err != nil {
			return nil, err
		}
		if v, err := history.ParseDocumentVersion(r.RV); err == nil && v.Hash == q.Hash && r.Verb != history.Delete {
			return r, nil
		}
	}
	return nil, history.Errorf(history.NotFound, "document %q has no version with this hash", q.Name)
}

// DocumentVersions selects the history of one document.
type DocumentVersions struct {
	Name       string
	Start, End time.Time // zero: no bound
	Limit      int       // versions; must be positive
}

// DocumentVersionsPage is the history of one document, oldest version first.
type DocumentVersionsPage struct {
	Versions []Document
	More     bool // there are later versions than the last one of the page
	Gaps     []history.Gap
}

// DocumentVersions returns the versions of a document.
func (s *Service) DocumentVersions(ctx context.Context, q DocumentVersions) (p DocumentVersionsPage, err error) {
	if err := s.checkDocument(ctx, q.Name); err != nil {
		return p, err
	}
	f := history.Filter{Name: q.Name, Start: q.Start} // the version after the end is that of Until
	f.Resources = append(f.Resources, history.Documents())
	for r, err := range s.reader.Scan(ctx, history.Scan{Filter: f, Limit: q.Limit + 1}) {
		if err != nil {
			return p, err
		}
		if n := len(p.Versions); n > 0 {
			p.Versions[n-1].Until = r
		}
		if !q.End.IsZero() && !r.Time.Before(q.End) {
			break
		}
		if p.More = len(p.Versions) == q.Limit; p.More {
			break
		}
		d, err := newDocument(r)
		if err != nil {
			return p, err
		}
		p.Versions = append(p.Versions, d)
	}
	if len(p.Versions) == 0 && q.Start.IsZero() && q.End.IsZero() {
		return p, noDocument(q.Name)
	}
	p.Gaps, err = s.documentGaps(ctx, q.Start, q.End)
	return p, err
}
