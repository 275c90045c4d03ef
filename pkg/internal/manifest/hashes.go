package manifest

import (
	"slices"
	"strings"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/diff"
)

// hashPrefix is what hashes of hidden values begin with.
const hashPrefix = "hmac-sha256:"

// DropHashes removes annotations that are hashes, and returns the paths of all
// other values that are.
func DropHashes(object map[string]any) (keys []string) {
	if metadata, ok := object["metadata"].(map[string]any); ok {
		annotations, _ := metadata["annotations"].(map[string]any)
		delete(annotations, v1.HashedAnnotation)
		for name, value := range annotations {
			if text, _ := value.(string); strings.Contains(text, hashPrefix) {
				delete(annotations, name)
			}
		}
		if annotations != nil && len(annotations) == 0 {
			delete(metadata, "annotations")
		}
	}
	hashesIn(object, nil, &keys)
	slices.Sort(keys)
	return keys
}

// hashesIn appends the paths of values that contain hashes.
func hashesIn(value any, path diff.Path, keys *[]string) {
	switch v := value.(type) {
	case map[string]any:
		for name, inner := range v {
			hashesIn(inner, append(slices.Clone(path), diff.Segment{Field: name}), keys)
		}
	case []any:
		for i, inner := range v {
			hashesIn(inner, append(slices.Clone(path), diff.Segment{Item: true, Index: i}), keys)
		}
	case string:
		if strings.Contains(v, hashPrefix) {
			*keys = append(*keys, path.String())
		}
	}
}
