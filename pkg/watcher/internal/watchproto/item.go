package watchproto

import (
	"bytes"
	"fmt"

	"github.com/watchhistory/watchhistory/pkg/internal/rawjson"
)

// Complete returns an item of a list with its kind and apiVersion. The items of
// built-in types lack both. They are added at the beginning, where a watch has
// them. An item with a kind is returned unchanged.
func Complete(item []byte, apiVersion, kind string) ([]byte, error) {
	members, hasKind := 0, false
	s := rawjson.Scan(item)
	if s.Kind() != rawjson.Object {
		return nil, fmt.Errorf("list of %s: an item is not an object", kind)
	}
	for _, key := range s.Members() {
		members++
		hasKind = hasKind || string(key) == "kind"
	}
	if err := s.End(); err != nil {
		return nil, fmt.Errorf("list of %s: %w", kind, err)
	}
	if hasKind {
		return item, nil
	}
	head := fmt.Appendf(nil, `{"kind":%q,"apiVersion":%q`, kind, apiVersion)
	if members > 0 {
		head = append(head, ',')
	}
	return append(head, bytes.TrimSpace(item)[1:]...), nil
}
