package render_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/diff"
	"github.com/watchhistory/watchhistory/pkg/render"
)

// blamed returns the fields of a Deployment, from several versions.
func blamed() *render.Blame {
	item := func(key string) diff.Segment { return diff.Segment{Item: true, Key: key} }
	path := func(fields string, rest ...diff.Segment) (p diff.Path) {
		for name := range strings.SplitSeq(fields, ".") {
			p = append(p, diff.Segment{Field: name})
		}
		return append(p, rest...)
	}
	name := func(field string) diff.Segment { return diff.Segment{Field: field} }
	first := web(1, 6*24*time.Hour, "create", "existed when recording began")
	scaled := web(9, 2*time.Minute, "update", "replicas 2 → 4")
	scaled.Unmanaged = &v1.Unmanaged{Subresource: "scale"}
	released := web(8, 3*time.Minute, "update", "image")
	b := &render.Blame{}
	add := func(e *v1.Event, value any, path diff.Path) {
		f := render.BlameField{
			Path: path.String(), Segments: path, Value: value, Revision: e.Revision, Timestamp: e.Timestamp, Event: e,
		}
		if value == json.Number("4") && e == &scaled {
			f.Also = []render.BlameWriter{{Manager: "hpa", Short: "hpa", Revision: 5, Timestamp: ago(time.Hour)}}
		}
		switch e {
		case &released:
			f.Manager, f.Short = "kubectl-edit", "kubectl edit"
		case &first:
			f.Before = render.BeforeRecording
		}
		b.Fields = append(b.Fields, f)
	}
	app := []diff.Segment{name("containers"), item("name=app")}
	add(&first, "a: 1\nb: 2\n", path("data", name("app.yaml")))
	add(&first, json.Number("4"), path("spec.minReadySeconds"))
	add(&scaled, json.Number("4"), path("spec.replicas"))
	add(&first, "30s", path("spec.template.spec", append(app, name("env"), item("name=TIMEOUT"), name("value"))...))
	add(&released, "0", path("spec.template.spec", append(app, name("env"), item("name=RETRIES"), name("value"))...))
	add(&released, "registry/api:1.2.4", path("spec.template.spec", append(app, name("image"))...))
	add(&first, map[string]any{}, path("spec.template.spec", append(app, name("ports"),
		item("containerPort=80,protocol=TCP"))...))
	b.Fields[5].Also = []render.BlameWriter{
		{Short: "kubectl set"}, {Short: "argocd"}, {Short: "flux"}, {Short: "helm"},
	}
	add(&released, "256Mi\x1b[31m", path("spec.template.spec", append(app, name("resources"), name("limits"),
		name("memory"))...))
	return b
}

func TestBlame_Widths(t *testing.T) {
	testWidths(t, func(p *render.Printer) error { return p.Blame(blamed()) })
}
