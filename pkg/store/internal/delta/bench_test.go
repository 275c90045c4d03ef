package delta_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/klauspost/compress/s2"

	"github.com/watchhistory/watchhistory/pkg/rig/sample"
	"github.com/watchhistory/watchhistory/pkg/store/internal/delta"
)

// pair is a version and the previous one.
type pair struct{ before, now []byte }

// pairs returns n versions of a sample cluster with their previous versions.
func pairs(tb testing.TB, n int) (all []pair) {
	tb.Helper()
	frames := sample.WatchEvents(sample.Options{
		Seed: 1, Objects: 200, Start: time.Unix(1_790_000_000, 0), Every: time.Second / 10,
	})
	for batch := range sample.Batches(tb, frames) {
		for _, r := range batch.Versions {
			if len(all) == n {
				return all
			}
			if r.Before != nil {
				all = append(all, pair{r.Before, r.Object})
			}
		}
	}
	return all
}

// inputs returns the versions of the benchmarks: the sample, and extreme ones.
func inputs(b *testing.B) map[string][]pair {
	b.Helper()
	large, medium := []byte(lines(32_000)), []byte(lines(4500))
	line := func(b []byte) []byte { return bytes.Replace(b, []byte(`"line":1000,`), []byte(`"line":"changed",`), 1) }
	half := len(medium) / 2
	return map[string][]pair{
		"sample":            pairs(b, 2000),
		"1.5MB,a line":      {{large, line(large)}},
		"200KB,a line":      {{medium, line(medium)}},
		"200KB,in halves":   {{medium, append(bytes.Clone(medium[half:]), medium[:half]...)}},
		"200KB,all new":     {{medium, bytes.Repeat([]byte("another"), len(medium)/7)}},
		"50KB,a line":       {{medium[:50_000], line(medium[:50_000])}},
		"50KB,in halves":    {{medium[:50_000], append(bytes.Clone(medium[25_000:50_000]), medium[:25_000]...)}},
		"50KB,a line added": {{medium[:50_000], append([]byte("a line at the beginning"), medium[:50_000]...)}},
	}
}

// codec is a way to encode a version as a difference to another one. encode
// returns nil if it isn't applicable.
type codec struct {
	encode func(dst []byte, p pair) []byte
	decode func(dst []byte, p pair, patch []byte) error
}

func codecs() map[string]codec {
	var e delta.Encoder
	return map[string]codec{
		"patch": {
			func(dst []byte, p pair) []byte { return e.Append(dst[:0], p.before, p.now) },
			func(dst []byte, p pair, patch []byte) error {
				_, err := delta.Apply(dst[:0], p.before, patch, len(p.now))
				return err
			},
		},
		"s2": {
			func(dst []byte, p pair) []byte {
				if len(p.before) > s2.MaxDictSize {
					return nil
				}
				return s2.MakeDict(p.before, nil).Encode(dst[:cap(dst)], p.now)
			},
			func(dst []byte, p pair, patch []byte) error {
				_, err := s2.MakeDict(p.before, nil).Decode(dst[:cap(dst)], patch)
				return err
			},
		},
	}
}

// BenchmarkPatch compares patches with S2 blocks that have the previous version
// as their dictionary of at most 64 KiB. An operation is the encoding or
// decoding of a version.
func BenchmarkPatch(b *testing.B) {
	for name, versions := range inputs(b) {
		for of, c := range codecs() {
			patches, size, ok := encodeAll(c, versions)
			if !ok {
				continue
			}
			dst := make([]byte, 0, 4<<20)
			b.Run(fmt.Sprintf("%s/encode/%s", name, of), func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					c.encode(dst, versions[i%len(versions)])
				}
				b.ReportMetric(float64(size)/float64(len(versions)), "bytes/version")
			})
			b.Run(fmt.Sprintf("%s/decode/%s", name, of), func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					if err := c.decode(dst, versions[i%len(versions)], patches[i%len(versions)]); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func encodeAll(c codec, pairs []pair) (patches [][]byte, size int, ok bool) {
	for _, p := range pairs {
		patch := c.encode(nil, p)
		if patch == nil {
			return nil, 0, false
		}
		patches, size = append(patches, bytes.Clone(patch)), size+len(patch)
	}
	return patches, size, true
}

// BenchmarkRatio alternates between both codecs, so that they have the same
// share of the machine. It reports how many times faster patches are, and their
// relative size.
func BenchmarkRatio(b *testing.B) {
	versions, all := pairs(b, 2000), codecs()
	spent := map[string][2]time.Duration{}
	size := map[string]int{}
	dst := make([]byte, 0, 1<<20)
	for i := 0; b.Loop(); i++ {
		p := versions[i%len(versions)]
		for name, c := range all {
			start := time.Now()
			patch := bytes.Clone(c.encode(dst, p))
			middle := time.Now()
			if err := c.decode(dst, p, patch); err != nil {
				b.Fatal(err)
			}
			size[name] += len(patch)
			spent[name] = [2]time.Duration{spent[name][0] + middle.Sub(start), spent[name][1] + time.Since(middle)}
		}
	}
	patch, block := spent["patch"], spent["s2"]
	b.ReportMetric(float64(block[0])/float64(patch[0]), "×encode")
	b.ReportMetric(float64(block[1])/float64(patch[1]), "×decode")
	b.ReportMetric(float64(size["patch"])/float64(size["s2"]), "×bytes")
}
