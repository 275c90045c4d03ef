package scale_test

import (
	"bytes"

	"github.com/cespare/xxhash/v2"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/rig/sample"
)

// expected has the resourceVersions of a sample of the objects, in order, by
// UID. All of them would take too much of the memory that is measured.
type expected struct {
	oneIn uint64 // the sample is one object in this many
	of    map[types.UID][]string
}

// newExpected returns an empty sample for a number of versions.
func newExpected(versions int) expected {
	return expected{oneIn: uint64(max(1, versions/20_000)), of: map[types.UID][]string{}}
}

// note adds a version, if its object is in the sample.
func (t expected) note(f sample.WatchEvent) {
	uid := field(f.Object, `"uid":"`)
	if xxhash.Sum64(uid)%t.oneIn == 0 {
		t.of[types.UID(uid)] = append(t.of[types.UID(uid)], string(field(f.Object, `"resourceVersion":"`)))
	}
}

// field returns the text after the first occurrence of name, which is in the
// metadata of generated objects.
func field(object []byte, name string) []byte {
	_, text, _ := bytes.Cut(object, []byte(name))
	text, _, _ = bytes.Cut(text, []byte(`"`))
	return text
}
