package render_test

import (
	"testing"
	"time"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/render"
)

func TestWhy_Widths(t *testing.T) {
	onset, healthy, searched := ago(5*time.Minute), ago(6*time.Minute), ago(24*time.Hour)
	object := func(kind, name string) v1.Object { return v1.Object{Kind: kind, Namespace: "shop", Name: name} }
	config := web(2, 6*time.Minute, "update", "app.yaml: timeout 30s → .30, ttl 300 → .0",
		v1.Manager{Manager: "kubectl-edit"})
	config.Kind, config.ResourceType, config.ResourceName, config.Group = "ConfigMap", "configmaps", "web-config", ""
	restart := web(26, 5*time.Minute, "update", "restarted", v1.Manager{Manager: "kubectl-rollout"})
	secret := web(2, 4*time.Minute, "delete", "deleted")
	secret.Kind, secret.ResourceType, secret.ResourceName, secret.Group = "Secret", "secrets", "db-credentials", ""
	why := v1.Why{
		Object: object("Deployment", "web"), State: "failing", Text: "2/3 ready", Onset: &onset, HealthyUntil: &healthy,
		Searched: &searched,
		Symptoms: []v1.Symptom{{
			Object: object("Pod", "web-778468f48f-bt8sx"), Count: 2, Since: onset,
			Text: `CrashLoopBackOff, exit 1 "yaml: timeout: missing unit"`,
		}},
		Causes: []v1.Cause{
			{
				Change: config, Score: 2, Likely: true,
				Path: []v1.PathStep{{Rule: "envFrom", Object: object("ConfigMap", "web-config")}},
				For:  []string{"such a change can cause a crash", "1m before", "by a person", "nothing else changed"},
			},
			{Change: restart, Score: 1.9, Likely: true, For: []string{"pods took the new configuration"}},
			{Change: secret, Score: 0.1, Against: []string{"after the first failure"}},
		},
	}
	testWidths(t, func(p *render.Printer) error { return p.Why(&why) })
}
