package render_test

import (
	"testing"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/render"
)

// stats returns a line of each kind.
func stats() []render.Stat {
	difference := func(change, kind, name, summary string) v1.Difference {
		return v1.Difference{Change: change, Namespace: "shop", Kind: kind, ResourceName: name, Summary: summary}
	}
	return []render.Stat{
		{
			Mark: render.StatModified, Changes: 2, Writers: []string{"argocd", "kubectl edit"},
			Difference: difference("changed", "Deployment", "api",
				"image api 1.2.3 → 1.2.4, memory limit 512Mi → 256Mi, RETRIES 3 → 0, and one more long text"),
		},
		{Mark: render.StatModified, Changes: 1, Difference: difference("recreated", "Service", "web", "selector")},
		{Mark: render.StatDeleted, Difference: difference("deleted", "ConfigMap", "feature-flags", "")},
		{
			Mark: render.StatAdded, Changes: 1, Writers: []string{"helm"},
			Difference: difference("created", "ConfigMap", "new\x1b[31m", ""),
		},
		{
			Mark: render.StatSame, Changes: 4, Writers: []string{"kubectl set"},
			Difference: difference("changed", "Deployment", "web", ""),
		},
	}
}

func TestStats_Widths(t *testing.T) {
	testWidths(t, func(p *render.Printer) error { return p.Stats(stats()) })
}
