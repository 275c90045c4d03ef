package manifests_test

import (
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// built returns the objects that kustomize builds from a directory, by
// kind/name.
func built(t *testing.T, dir string) map[string]map[string]any {
	t.Helper()
	objects := map[string]map[string]any{}
	for document := range strings.SplitSeq(kubectl(t, "kustomize", dir), "\n---\n") {
		var object map[string]any
		if err := yaml.Unmarshal([]byte(document), &object); err != nil {
			t.Fatalf("kustomize %s: %v", dir, err)
		}
		metadata, _ := object["metadata"].(map[string]any)
		kind, _ := object["kind"].(string)
		name, _ := metadata["name"].(string)
		objects[kind+"/"+name] = object
	}
	return objects
}

// decoded returns the recorder's object of a kind.
func decoded[T any](t *testing.T, objects map[string]map[string]any, kind string) (object T) {
	t.Helper()
	text, err := yaml.Marshal(objects[kind+"/"+name])
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(text, &object); err != nil {
		t.Fatal(err)
	}
	return object
}
