package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/diff"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
)

// compare writes what differs between two times: the endpoint
// [v1.ComparePath].
func (h *handler) compare(a *answer, r *http.Request) {
	q, summary, err := parseCompare(r, h.options.MaxLimit())
	if err != nil {
		h.fail(a, r, err)
		return
	}
	start := time.Now()
	page, err := h.ask(r.Context()).Compare(r.Context(), q)
	scan := time.Since(start)
	writeMoments(a, &page.Moments)
	if err != nil {
		h.fail(a, r, ofParameter(err, func(t time.Time) string {
			if t.Equal(q.To) {
				return v1.ParamTo
			}
			return v1.ParamFrom
		}))
		return
	}
	start = time.Now()
	body, err := encodeComparison(&page, summary)
	if err != nil {
		h.fail(a, r, err)
		return
	}
	writeTiming(a, step{"compare", scan}, step{"encode", time.Since(start)})
	writeMomentsPage(a, r, &page.Moments, func(out io.Writer) { _, _ = out.Write(body) })
}

// encodeComparison returns a [v1.Comparison] with one difference per line.
func encodeComparison(page *query.ComparePage, summary bool) ([]byte, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, `{"from":%q,"to":%q,"differences":[`,
		page.From.Format(time.RFC3339Nano), page.At.Format(time.RFC3339Nano))
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	for i := range page.Differences {
		if i > 0 {
			b.WriteString(",\n")
		}
		d := &page.Differences[i]
		one, err := difference(d, summary)
		if err == nil {
			err = encoder.Encode(one)
		}
		if err != nil {
			return nil, fmt.Errorf("encode difference: %w", err)
		}
		b.Truncate(b.Len() - 1) // the line feed
		d.Changes = nil         // the memory is needed only once
	}
	b.WriteString("]")
	if n := page.Existed; n != nil {
		count := v1.ObjectCount{Objects: n.Objects, Initial: n.Initial}
		if !n.Exact {
			count.Relation = v1.AtLeast
		}
		text, err := json.Marshal(count)
		if err != nil {
			return nil, fmt.Errorf("encode count: %w", err)
		}
		b.WriteString(`,"existed":`)
		b.Write(text)
	}
	b.WriteString("}\n")
	return b.Bytes(), nil
}

// difference returns a difference in the form of the API.
func difference(d *query.Difference, summary bool) (v1.Difference, error) {
	newest := d.After
	if newest == nil {
		newest = d.Before
	}
	resource := history.Resource{Group: newest.Ref.Group, Version: newest.Version}
	one := v1.Difference{
		Change:       string(d.Kind),
		Namespace:    newest.Ref.Namespace,
		ResourceType: newest.Ref.Resource,
		ResourceName: newest.Ref.Name,
		Group:        newest.Ref.Group,
		APIVersion:   resource.APIVersion(),
		Kind:         newest.Kind,
		UID:          string(newest.Ref.UID),
		Versions:     d.Versions,
		Summary:      d.Summary,
		Noise:        d.Noise,
		Remainder:    d.Remainder,
		Derived:      d.Derived,
	}
	if d.Before != nil {
		one.FromRevision = d.Before.Revision
	}
	if d.After != nil {
		one.ToRevision, one.Timestamp = d.After.Revision, d.After.Time.UTC()
	}
	if d.Kind == query.Recreated {
		one.PreviousUID = string(d.Before.Ref.UID)
	}
	if summary {
		return one, nil
	}
	for _, c := range d.Changes {
		change := v1.Change{Path: c.Path.String(), Change: c.Kind.String(), Noise: c.Noise()}
		var err error
		if c.Kind != diff.Added {
			if change.Old, err = encoded(c.Old); err != nil {
				return one, err
			}
		}
		if c.Kind != diff.Removed {
			if change.New, err = encoded(c.New); err != nil {
				return one, err
			}
		}
		one.Changes = append(one.Changes, change)
	}
	return one, nil
}

// encoded returns a value as JSON, with the characters of HTML as they are.
func encoded(value any) (json.RawMessage, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(value)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// parseCompare parses the parameters of the endpoint.
func parseCompare(r *http.Request, maxLimit int) (q query.Compare, summary bool, err error) {
	p := parameters{values: r.URL.Query()}
	q.Objects = p.objects()
	if q.Limit, err = p.parseLimit(maxLimit); err != nil {
		return q, false, asJSON(v1.ParamLimit, p.values.Get(v1.ParamLimit), "want a number", err)
	}
	for name, flag := range map[string]*bool{
		v1.ParamSummary: &summary, v1.ParamNoise: &q.Noise, v1.ParamCount: &q.Count,
	} {
		if *flag, err = p.flag(name); err != nil {
			return q, false, err
		}
	}
	if q.From, err = p.moment(v1.ParamFrom); err != nil {
		return q, false, err
	}
	if q.To, err = p.moment(v1.ParamTo); err != nil {
		return q, false, err
	}
	if q.After, err = p.stateCursor(true); err != nil {
		return q, false, err
	}
	switch {
	case !q.After.IsZero(): // it contains both times
	case q.From.IsZero():
		return q, false, invalid(v1.ParamFrom, p.values.Get(v1.ParamFrom),
			"want a time in the past, in RFC 3339 such as 2026-03-01T10:00:00Z")
	case !q.To.IsZero() && q.From.After(q.To):
		return q, false, invalid(v1.ParamFrom, p.values.Get(v1.ParamFrom), "want a time that is not after "+v1.ParamTo)
	}
	return q, summary, nil
}
