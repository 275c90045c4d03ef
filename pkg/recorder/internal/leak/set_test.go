package leak_test

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"maps"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/recorder/internal/leak"
)

// encodings are the encodings in which a value must be found.
var encodings = map[string]func(string) string{
	"plain":          func(s string) string { return s },
	"upper case":     upper,
	"base64":         func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
	"base64url":      func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) },
	"base64 lines":   func(s string) string { return fold(base64.StdEncoding.EncodeToString([]byte(s))) },
	"base32":         func(s string) string { return base32.StdEncoding.EncodeToString([]byte(s)) },
	"hex":            func(s string) string { return hex.EncodeToString([]byte(s)) },
	"hex colons":     func(s string) string { return strings.ReplaceAll(fmt.Sprintf("% X", s), " ", ":") },
	"url":            url.QueryEscape,
	"url all":        percent,
	"json":           func(s string) string { return quoted(s) },
	"json unicode":   unicode,
	"json in json":   func(s string) string { return quoted(quoted(s)) },
	"html":           html.EscapeString,
	"gzip":           func(s string) string { return base64.StdEncoding.EncodeToString(zipped(s)) },
	"zlib":           func(s string) string { return base64.StdEncoding.EncodeToString(zlibbed(s)) },
	"zip":            func(s string) string { return base64.StdEncoding.EncodeToString(archived(s)) },
	"double base64":  func(s string) string { return b64(b64(s)) },
	"triple base64":  func(s string) string { return b64(b64(b64(s))) },
	"base64 in hex":  func(s string) string { return hex.EncodeToString([]byte(b64(s))) },
	"gzip in base64": func(s string) string { return b64(b64(string(zipped(s)))) },
	"json in gzip": func(s string) string {
		return b64(string(zipped(`{"a":` + quoted(`{"b":`+quoted(s)+`}`) + `}`)))
	},
}

// upper returns the text with its ASCII letters in upper case.
func upper(s string) string {
	return strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' {
			return r - 'a' + 'A'
		}
		return r
	}, s)
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func fold(s string) string {
	var lines strings.Builder
	for ; len(s) > 5; s = s[5:] {
		lines.WriteString(s[:5] + "\n  ")
	}
	return lines.String() + s
}

func percent(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		fmt.Fprintf(&b, "%%%02x", c)
	}
	return b.String()
}

func unicode(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r > 0xffff {
			r -= 0x10000
			fmt.Fprintf(&b, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
			continue
		}
		fmt.Fprintf(&b, `\u%04x`, r)
	}
	return b.String()
}

func quoted(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

func compressed(s string, to func(io.Writer) io.WriteCloser) []byte {
	var b bytes.Buffer
	w := to(&b)
	_, _ = io.WriteString(w, s)
	_ = w.Close()
	return b.Bytes()
}

func zipped(s string) []byte {
	return compressed(s, func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) })
}

func zlibbed(s string) []byte {
	return compressed(s, func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) })
}

func archived(s string) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, _ := w.Create("secret.yaml")
	_, _ = io.WriteString(f, s)
	_ = w.Close()
	return b.Bytes()
}

// random returns a value of n bytes that does not occur by chance.
func random(r *rand.Rand, n int) string {
	alphabet := []rune(`abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.!"'\/&<> %+ü€🔑`)
	var b strings.Builder
	b.WriteByte("xyzXYZ789"[r.IntN(9)])
	for b.Len() < n-1 {
		b.WriteRune(alphabet[r.IntN(len(alphabet))])
	}
	b.WriteByte("xyzXYZ789"[r.IntN(9)])
	return b.String()
}

func TestIn_FindsValuesInEveryEncoding(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	for name, encode := range encodings {
		for _, n := range []int{4, 5, 6, 7, 8, 12, 20, 63, 64, 65, 200} {
			for range 5 {
				value, before, after := random(r, n), random(r, 1+r.IntN(9)), random(r, 1+r.IntN(9))
				set := leak.New([][]byte{[]byte(random(r, 30)), []byte(" " + value + "\n")}, leak.Shortest)
				for place, text := range map[string]string{
					"alone": encode(value), "inside": encode(before + value + after),
					"next to": before + " " + encode(value) + "." + after,
				} {
					if !set.In([]byte(text)) {
						t.Fatalf("seed %d: %s %s: In(%q) = false, want true for %q", seed, name, place, text, value)
					}
				}
			}
		}
	}
}

// bzip2ed is the base64 of a manifest with the value of the next test,
// compressed by bzip2.
const bzip2ed = "QlpoOTFBWSZTWa0u55AAAA/fgAAQQAJYMAQEKJAu619KIABIweoNDMoPSaepieUMYTEyYCYABqaW57T8E5nJVLHcTSss" +
	"CBxAkUpYrewrBwRFl+XluC7kinChIVpdzyA="

func TestIn_FindsBzip2AndMatchesUnknownCompression(t *testing.T) {
	const tail = "\x01\x02\x03\x04\x05\x06\x07\x08"
	set := leak.New([][]byte{[]byte("hunter2-Zk3vQ9xL0pWm")}, leak.Shortest)
	for name, text := range map[string]string{
		"bzip2": bzip2ed,
		"zstd":  b64("\x28\xb5\x2f\xfd\x04\x00\x01\x00\x00" + tail), "xz": b64("\xfd7zXZ\x00\x00\x04\xe6\xd6" + tail),
		"lz4": b64("\x04\x22\x4d\x18\x64\x40\xa7\x00\x00" + tail),
		"7z":  b64("7z\xbc\xaf\x27\x1c\x00\x04\x00\x00" + tail), "snappy": b64("\xff\x06\x00\x00sNaPpY\x00" + tail),
		"zip with another method": b64("PK\x03\x04\x14\x00\x00\x00\x0c\x00" + strings.Repeat("\x00", 40)),
	} {
		if !set.In([]byte(text)) {
			t.Errorf("%s: In(%q) = false, want true: it can't be decompressed", name, text)
		}
	}
}

func TestIn_FindsShortValuesOnlyAsWholeText(t *testing.T) {
	set := leak.New([][]byte{[]byte("42"), []byte("abc")}, leak.Shortest)
	for text, want := range map[string]bool{
		"42": true, " 42\n": true, "NDI=": true, "NDI": true, "3432": true, "ABC": true, "YWJj": true,
		"": false, "421": false, "x-42": false, "abcd": false, "4": false,
	} {
		if got := set.In([]byte(text)); got != want {
			t.Errorf("In(%q) = %t, want %t", text, got, want)
		}
	}
}

func TestIn_DoesNotMatchOtherTexts(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	var values [][]byte
	for range 50 {
		values = append(values, []byte(random(r, 8+r.IntN(40))))
	}
	for _, text := range []string{
		"app.kubernetes.io/instance", "kubectl-client-side-apply",
		"6f1d3c2e-9a4b-4c57-8f0e-2b7a5d9c1e33", "2026-01-02T03:04:05Z",
		"registry.example.com/shop/web@sha256:" + strings.Repeat("0123456789abcdef", 4),
		strings.Repeat("a", 600), strings.Repeat("the quick brown fox ", 40),
		`C:\Users\shop\100% & more`, b64(strings.Repeat("nothing to see here, ", 100)),
		b64(string(zipped(strings.Repeat("nothing ", 1000)))),
		strings.Repeat(`\"`, 300), quoted(quoted(quoted(`{"a":"b"}`))),
	} {
		if leak.New(values, leak.Shortest).In([]byte(text)) {
			t.Errorf("seed %d: In(%q) = true, want false", seed, text)
		}
	}
}

func TestIn_WithoutValues(t *testing.T) {
	set := leak.New([][]byte{nil, []byte(" \n")}, leak.Shortest)
	for _, text := range []string{"", " ", "text", b64(string(zipped("text")))} {
		if set.In([]byte(text)) {
			t.Errorf("In(%q) = true, want false", text)
		}
	}
}

// A text whose search is too expensive counts as one that contains a value.
func TestIn_IsBounded(t *testing.T) {
	bomb := strings.Repeat("\x00", 64<<20)
	deep := "harmless text"
	for range 12 {
		deep = b64(deep)
	}
	prefix := strings.Repeat("a", 300)
	var alike [][]byte
	for i := range 10_000 {
		alike = append(alike, fmt.Appendf(nil, "aaaa%dz", i), fmt.Appendf(nil, "%s%d", prefix, i))
	}
	for name, c := range map[string]struct {
		values [][]byte
		text   string
		want   bool
	}{
		"bomb":           {[][]byte{[]byte("hunter2")}, b64(string(zipped(bomb))), true},
		"bomb in a bomb": {[][]byte{[]byte("hunter2")}, b64(string(zipped(string(zipped(bomb))))), true},
		"deep":           {[][]byte{[]byte("hunter2")}, deep, true},
		"alike":          {alike[:1], strings.Repeat("aaaa1", 100_000), false},
		"all alike":      {alike, strings.Repeat("aaaa ", 100_000), false},
		"long":           {[][]byte{[]byte("hunter2")}, strings.Repeat("QUJD", 20<<20), true},
	} {
		if got := leak.New(c.values, leak.Shortest).In([]byte(c.text)); got != c.want {
			t.Errorf("%s: In = %t, want %t", name, got, c.want)
		}
	}
}

func TestUnpack(t *testing.T) {
	for text, want := range map[string]string{
		b64(`{"a":1}`): `{"a":1}`, strings.TrimRight(b64(`{"ab":1}`), "="): `{"ab":1}`,
		b64(string(zipped("text"))):  "text",
		b64(string(zlibbed("text"))): "text", "no base64!": "", b64(string(zipped(strings.Repeat(" ", 2<<20)))): "",
	} {
		if got := string(leak.Unpack([]byte(text))); got != want {
			t.Errorf("Unpack(%.40q) = %.40q, want %q", text, got, want)
		}
	}
}

// FuzzIn takes any value, any text around it, and two nested encodings.
func FuzzIn(f *testing.F) {
	f.Add("hunter2", "before", "after", uint8(2), uint8(5))
	f.Add("s3cr3t-\u00fc", "", "=", uint8(17), uint8(0))
	names := slices.Sorted(maps.Keys(encodings))
	f.Fuzz(func(t *testing.T, value, before, after string, outer, inner uint8) {
		if len(strings.TrimSpace(value)) < leak.Shortest {
			leak.New([][]byte{[]byte(value)}, leak.Shortest).In([]byte(before))
			return
		}
		if strings.ToValidUTF8(before+value+after, "") != before+value+after {
			return // the encodings would change it
		}
		if names[int(outer)%len(names)] == "upper case" {
			return // it would change the encoding inside
		}
		o, i := names[int(outer)%len(names)], names[int(inner)%len(names)]
		text := encodings[o](encodings[i](before + value + after))
		if !leak.New([][]byte{[]byte(value)}, leak.Shortest).In([]byte(text)) {
			t.Errorf("%s in %s: In(%q) = false, want true for %q", i, o, text, value)
		}
	})
}

func BenchmarkIn(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	var values [][]byte
	for range 10 {
		values = append(values, []byte(random(r, 20)))
	}
	for name, text := range map[string]string{
		"label": "shop-frontend-production", "prose": strings.Repeat("the quick brown fox jumps, ", 40),
		"base64": b64(strings.Repeat("nothing to see ", 70)),
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			set := leak.New(values, leak.Shortest)
			for n := 0; b.Loop(); n++ {
				if n%1000 == 0 {
					set = leak.New(values, leak.Shortest)
				}
				if set.In([]byte(text)) {
					b.Fatal("got a match, want none")
				}
			}
		})
	}
}
