package api_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/watchhistory/watchhistory/pkg/api"
	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
)

func TestState_StripRemovesWhatServersSet(t *testing.T) {
	for name, c := range map[string]struct {
		resource     string
		object, want string
	}{
		"metadata": {
			"configmaps",
			`{"kind":"ConfigMap","metadata":{"name":"a","namespace":"n","uid":"u","resourceVersion":"1",
				"generation":2,"selfLink":"/",
				"creationTimestamp":"2026-01-01T00:00:00Z","deletionTimestamp":"2026-01-01T00:00:00Z",
				"deletionGracePeriodSeconds":3,
				"ownerReferences":[{"uid":"v"}],"finalizers":["foregroundDeletion","example.com/own"],
				"labels":{"a":"b"},
				"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{}","own":"1"}},
				"data":{"status":"1.50"},"status":{"a":1}}`,
			`{"kind":"ConfigMap","metadata":{"name":"a","namespace":"n","finalizers":["example.com/own"],
				"labels":{"a":"b"},"annotations":{"own":"1"}},
				"data":{"status":"1.50"}}`,
		},
		"hashed": {
			"configmaps",
			`{"metadata":{"name":"a"},"data":{"a":"hmac-sha256:0123456789abcdef0123456789abcdef"}}`,
			`{"metadata":{"name":"a","annotations":{"watchhistory.io/hashed-values":"true"}},` +
				`"data":{"a":"hmac-sha256:0123456789abcdef0123456789abcdef"}}`,
		},
		"no metadata": {"configmaps", `{"data":{"a":1e3}}`, `{"data":{"a":1e3}}`},
		"wrong values": {
			"pods", `{"metadata":[],"spec":{"containers":[1,{"volumeMounts":[7]}],"volumes":"x"}}`,
			`{"metadata":[],"spec":{"containers":[1,{"volumeMounts":[7]}],"volumes":"x"}}`,
		},
		"pod": {
			"pods",
			`{"metadata":{"name":"a"},"spec":{"nodeName":"n","priority":0,
				"preemptionPolicy":"PreemptLowerPriority","ephemeralContainers":[{}],
				"containers":[{"name":"c","volumeMounts":[{"name":"data","mountPath":"/data"},
				{"name":"kube-api-access-abcde","mountPath":"/var/run/secrets/kubernetes.io/serviceaccount"}]}],
				"initContainers":[{"name":"i","volumeMounts":[{"name":"kube-api-access-abcde",
				"mountPath":"/var/run/secrets/kubernetes.io/serviceaccount"}]}],
				"volumes":[{"name":"data"},{"name":"kube-api-access-abcde"},{"name":"kube-api-access-other"}]}}`,
			`{"metadata":{"name":"a"},"spec":{"containers":[{"name":"c","volumeMounts":[{"name":"data",
				"mountPath":"/data"}]}],"initContainers":[{"name":"i"}],
				"volumes":[{"name":"data"},{"name":"kube-api-access-other"}]}}`,
		},
		"volume": {
			"persistentvolumes",
			`{"metadata":{"name":"a","finalizers":["kubernetes.io/pv-protection"],
				"annotations":{"pv.kubernetes.io/bound-by-controller":"yes","pv.kubernetes.io/provisioned-by":"x"}},
				"spec":{"claimRef":{"name":"c","namespace":"n","uid":"u","resourceVersion":"1"}}}`,
			`{"metadata":{"name":"a","annotations":{"pv.kubernetes.io/provisioned-by":"x"}},` +
				`"spec":{"claimRef":{"name":"c","namespace":"n"}}}`,
		},
		"claim that was bound by the controller": {
			"persistentvolumeclaims",
			`{"metadata":{"name":"a","annotations":{"pv.kubernetes.io/bind-completed":"yes",` +
				`"pv.kubernetes.io/bound-by-controller":"yes"}},"spec":{"volumeName":"pvc-1"}}`,
			`{"metadata":{"name":"a"},"spec":{}}`,
		},
		"claim that names its volume": {
			"persistentvolumeclaims",
			`{"metadata":{"name":"a","annotations":{"pv.kubernetes.io/bind-completed":"yes"}},` +
				`"spec":{"volumeName":"own"}}`,
			`{"metadata":{"name":"a"},"spec":{"volumeName":"own"}}`,
		},
		"service": {
			"services",
			`{"metadata":{"name":"a"},"spec":{"clusterIP":"10.0.0.1","clusterIPs":["10.0.0.1"],` +
				`"healthCheckNodePort":30001,"ports":[{"port":80,"nodePort":30000}]}}`,
			`{"metadata":{"name":"a"},"spec":{"ports":[{"port":80}]}}`,
		},
		"headless service": {
			"services",
			`{"metadata":{"name":"a"},"spec":{"clusterIP":"None","clusterIPs":["None"]}}`,
			`{"metadata":{"name":"a"},"spec":{"clusterIP":"None","clusterIPs":["None"]}}`,
		},
		"job": {
			"jobs",
			`{"metadata":{"name":"a","labels":{"controller-uid":"u"}},
				"spec":{"selector":{"matchLabels":{"batch.kubernetes.io/controller-uid":"u"}},
				"template":{"metadata":{"labels":{"app":"a","controller-uid":"u",
				"batch.kubernetes.io/controller-uid":"u","job-name":"a","batch.kubernetes.io/job-name":"a"}}}}}`,
			`{"metadata":{"name":"a"},"spec":{"template":{"metadata":{"labels":{"app":"a"}}}}}`,
		},
		"job with its own selector": {
			"jobs",
			`{"metadata":{"name":"a"},"spec":{"manualSelector":true,"selector":{"matchLabels":{"a":"b"}}}}`,
			`{"metadata":{"name":"a"},"spec":{"manualSelector":true,"selector":{"matchLabels":{"a":"b"}}}}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, api.Options{})
			for _, r := range []history.Resource{
				{Version: "v1", Plural: "services", Kind: "Service", Namespaced: true},
				{Group: "batch", Version: "v1", Plural: "jobs", Kind: "Job", Namespaced: true},
			} {
				if err := s.log.Register(t.Context(), r); err != nil {
					t.Fatal(err)
				}
			}
			r := change(history.Create, c.resource, "n", "a", c.object)
			if c.resource == "jobs" {
				r.Ref.Group = "batch"
			}
			s.put(r)
			_, _, body := s.get(v1.StatePath + "?strip=true")
			var got struct{ Items []any }
			var want any
			if err := json.Unmarshal([]byte(body), &got); err != nil || len(got.Items) != 1 {
				t.Fatalf("got %s, error %v, want one object", body, err)
			}
			if err := json.Unmarshal([]byte(c.want), &want); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got.Items[0]); diff != "" {
				t.Errorf("stripped object (-want +got):\n%s", diff)
			}
		})
	}
}
