package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/manifest"
)

// hashedValue matches what replaces a hidden value, see docs/secrets.md.
var hashedValue = regexp.MustCompile(`hmac-sha256:([0-9a-f]{32}|hidden)`)

// stripped returns the object of a version without what a server or a
// controller sets, so that kubectl can apply it to an empty namespace. The
// object must be valid.
func stripped(r *history.Record) ([]byte, error) {
	decoder := json.NewDecoder(bytes.NewReader(r.Object))
	decoder.UseNumber()
	var object map[string]any
	if err := decoder.Decode(&object); err != nil {
		return nil, fmt.Errorf("read object %s: %w", r.Ref, err)
	}
	manifest.Strip(r.Ref.GroupResource(), object)
	if metadata, ok := object["metadata"].(map[string]any); ok && hashedValue.Match(r.Object) {
		annotations, ok := metadata["annotations"].(map[string]any)
		if !ok {
			annotations = map[string]any{}
			metadata["annotations"] = annotations
		}
		annotations[v1.HashedAnnotation] = "true"
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(object); err != nil {
		return nil, fmt.Errorf("write object %s: %w", r.Ref, err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
