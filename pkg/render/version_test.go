package render_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/olekukonko/tablewriter/pkg/twwidth"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/render"
)

// testWidths writes an output for pipes and for terminals of usual widths, and
// compares each with its golden file. No line is wider than the terminal.
func testWidths(t *testing.T, run func(*render.Printer) error) {
	t.Helper()
	for name, opts := range map[string]render.Options{
		"pipe": {}, "80": {Width: 80}, "120": {Width: 120}, "200": {Width: 200}, "80 color": {Width: 80, Color: true},
		"120 color": {Width: 120, Color: true}, "200 color": {Width: 200, Color: true},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			opts.Now, opts.Terminal = now(), opts.Width > 0
			if err := run(render.New(&out, opts)); err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(out.String()) {
				line = strings.TrimSuffix(line, "\n")
				if width := twwidth.Width(line); opts.Width > 0 && width > opts.Width {
					t.Errorf("got %d columns, want at most %d: %q", width, opts.Width, line)
				}
				if strings.HasSuffix(line, " ") {
					t.Errorf("got trailing white space in %q, want none", line)
				}
			}
			golden(t, out.String())
		})
	}
}

func TestVersion_Widths(t *testing.T) {
	after := 26.0
	testWidths(t, func(p *render.Printer) error {
		old, new := web(7, time.Hour, "update", ""), web(8, 3*time.Minute, "update",
			"image api 1.2.3 → 1.2.4, memory limit 512Mi → 256Mi, RETRIES 3 → 0",
			v1.Manager{Manager: "kubectl-edit"}, v1.Manager{Manager: "kube-controller-manager", Subresource: "status"})
		new.Class = v1.ClassRoot
		old.ObjectChanges = json.RawMessage(`{"spec":{"replicas":2}}`)
		new.ObjectChanges = json.RawMessage(`{"spec":{"replicas":4}}`)
		new.Outcome = &v1.Outcome{State: "ready", Text: "2/2 ready", AfterSeconds: &after}
		new.Delivery = &v1.Delivery{
			Text: "app shop/api@main/7f3c2d1", Tool: "argocd", Kind: "app", Name: "api", Namespace: "shop",
			Revision: "main", Commit: "7f3c2d1e5a9b4c8d7e6f5a4b3c2d1e0f9a8b7c6d", Cause: "hotfix",
		}
		if err := p.Version(&new); err != nil {
			return err
		}
		if _, _, err := p.Changes(&old, &new); err != nil {
			return err
		}
		return p.Around("shop", ago(4*time.Minute), ago(2*time.Minute), incidents()[:2])
	})
}
