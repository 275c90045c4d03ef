package scale_test

import (
	"bytes"

	"github.com/cespare/xxhash/v2"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/rig/sample"
)

// truth is the resourceVersions of some objects, in order, by UID: of one in so many, since all would take the memory that is
// measured.
type truth struct {
	oneIn uint64
	of    map[types.UID][]string
}

func newTruth(versions int) truth {
	return truth{oneIn: uint64(max(1, versions/20_000)), of: map[types.UID][]string{}}
}

func (t truth) note(f sample.WatchEvent) {
	uid := field(f.Object, `"uid":"`)
	if xxhash.Sum64(uid)%t.oneIn == 0 {
		t.of[types.UID(uid)] = append(t.of[types.UID(uid)], string(field(f.Object, `"resourceVersion":"`)))
	}
}

// field returns the text behind where a made-up object has the name first: in its metadata.
func field(object []byte, name string) []byte {
	_, text, _ := bytes.Cut(object, []byte(name))
	text, _, _ = bytes.Cut(text, []byte(`"`))
	return text
}
