package redact_test

import (
	"fmt"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/recorder/internal/redact"
)

// hashOf returns the hash of a value in an object with the metadata.
func hashOf(t *testing.T, resource schema.GroupResource, metadata string) string {
	t.Helper()
	r := newRedactor(t, resource, redact.Rule{Resource: resource, Paths: []string{"metadata.labels.value"}})
	object := fmt.Sprintf(`{"metadata":{%s,"labels":{"value":%q}}}`, metadata, value)
	got, _, err := r.Redact([]byte(object), noPrevious)
	if err != nil {
		t.Fatal(err)
	}
	return hash.FindString(string(got))
}

// TestHash_DiffersBetweenObjects has objects that differ in one part of their
// identity, also without a UID.
func TestHash_DiffersBetweenObjects(t *testing.T) {
	configMaps := schema.GroupResource{Resource: "configmaps"}
	seen := map[string]string{}
	for _, tt := range []struct {
		resource schema.GroupResource
		metadata string
	}{
		{pods, `"namespace":"shop","name":"a","uid":"u-1"`},
		{pods, `"namespace":"shop","name":"a","uid":"u-2"`},
		{pods, `"namespace":"shop","name":"b","uid":"u-1"`},
		{pods, `"namespace":"bank","name":"a","uid":"u-1"`},
		{configMaps, `"namespace":"shop","name":"a","uid":"u-1"`},
		{secrets, `"namespace":"shop","name":"a","uid":"u-1"`},
		{schema.GroupResource{Group: "example.com", Resource: "pods"}, `"namespace":"shop","name":"a","uid":"u-1"`},
		{pods, `"namespace":"shop","name":"a"`},
		{pods, `"namespace":"shop","name":"b"`},
		{pods, `"namespace":"bank","name":"a"`},
		{pods, `"namespace":"shopa"`},
		{pods, `"name":"shopa"`},
		{pods, `"name":"a"`},
		{pods, `"uid":"a"`},
		{configMaps, `"namespace":"shop","name":"a"`},
		{configMaps, `"generateName":"a"`},
	} {
		got, what := hashOf(t, tt.resource, tt.metadata), tt.resource.String()+" "+tt.metadata
		if other, known := seen[got]; known || got == "" {
			t.Errorf("%s: got hash %q, which is that of %s, want another one", what, got, other)
		}
		seen[got] = what
	}
}

func TestHash_DependsOnlyOnIdentity(t *testing.T) {
	want := hashOf(t, pods, `"namespace":"shop","name":"a","uid":"u-1"`)
	for _, metadata := range []string{
		`"uid":"u-1","name":"a","namespace":"shop"`, `"namespace":"shop","name":"\u0061","uid":"u-1"`,
		`"namespace":"shop","name":"a","uid":"u-1","resourceVersion":"7","generation":2`,
	} {
		if got := hashOf(t, pods, metadata); got != want {
			t.Errorf("metadata %s: got hash %s, want %s", metadata, got, want)
		}
	}
}

// TestRedactAgain_HashesAsRedact has an object that was recorded before there
// was a rule for it.
func TestRedactAgain_HashesAsRedact(t *testing.T) {
	const metadata = `"metadata":{"name":"a","namespace":"shop","uid":"u-1"}`
	for name, tt := range map[string]struct {
		r      *redact.Redactor
		object string
	}{
		"rule": {
			r:      newRedactor(t, pods, redact.Rule{Resource: pods, Paths: []string{"data[*]"}}),
			object: `{"data":{"p":"` + value + `"},"note":"` + value + `",` + metadata + `}`,
		},
		"Secret": {r: newRedactor(t, secrets), object: `{"data":{"p":"aHVudGVyMg=="},` + metadata + `}`},
	} {
		want, _, err := tt.r.Redact([]byte(tt.object), noPrevious)
		if err != nil {
			t.Fatal(err)
		}
		got, err := tt.r.RedactAgain([]byte(tt.object))
		if err != nil || string(got) != string(want) {
			t.Errorf("%s: got %s, %v; want %s", name, got, err, want)
		}
	}
}

// TestRedact_RejectsObjectWithoutIdentity has metadata that can't be read. Its
// hashes would have the key of another object.
func TestRedact_RejectsObjectWithoutIdentity(t *testing.T) {
	r := newRedactor(t, pods, redact.Rule{Resource: pods, Paths: []string{"data"}})
	for _, object := range []string{`{"data":1,"metadata":7}`, `{"data":"x","metadata":{"uid":7}}`} {
		if got, _, err := r.Redact([]byte(object), noPrevious); err == nil {
			t.Errorf("%s: got %s, want an error", object, got)
		}
	}
}
