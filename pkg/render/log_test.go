package render_test

import (
	"testing"
	"time"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/render"
)

// logged returns the versions of two Deployments with one name, newest first.
func logged() []v1.Event {
	const day = 24 * time.Hour
	by := func(name string) v1.Manager { return v1.Manager{Manager: name} }
	events := []v1.Event{
		web(8, 3*time.Minute, "update",
			"image api 1.2.3 → 1.2.4, memory limit 512Mi → 256Mi, RETRIES 3 → 0, and more", by("argocd")),
		web(5, time.Hour, "update", "replicas 2 → 4", by("kubectl-scale")),
		web(2, 2*time.Hour, "update", "evil \x1b[31m", by("kube-controller-manager")),
		web(1, day, "create", "created", by("argocd")),
		web(14, 12*day, "delete", "deleted"),
		web(1, 23*day, "create", "created", by("helm")),
	}
	for i := range events[4:] {
		events[4+i].UID = "1346a5de-0000-4000-8000-000000000000"
	}
	after := 26.0
	events[0].Outcome = &v1.Outcome{State: "ready", Text: "2/2 ready", AfterSeconds: &after}
	events[0].Delivery, events[0].Consequences = &v1.Delivery{Text: "app shop/api@main/e91ab04"}, 11
	events[1].Outcome = &v1.Outcome{State: "failing", Text: "2 pods ImagePullBackOff"}
	return events
}

func TestLog_Widths(t *testing.T) {
	testWidths(t, func(p *render.Printer) error {
		gaps := []v1.Gap{{
			Resource: "deployments", Start: ago(90 * time.Minute), End: ago(80 * time.Minute), Reason: "restarted",
		}}
		return p.Log(logged(), gaps)
	})
}
