package api

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"strings"

	"github.com/watchhistory/watchhistory/pkg/query"
)

// gzipTagSuffix is appended to the ETag of a compressed answer, whose bytes
// differ from the same answer without compression.
const gzipTagSuffix = "-gzip"

// tagBytes is the number of bytes of a SHA-256 that an ETag has.
const tagBytes = 16

// writeMoments writes the headers about what may be missing from an answer,
// also if the answer is an error.
func writeMoments(w http.ResponseWriter, m *query.Moments) {
	if m.At.IsZero() {
		return
	}
	writeGaps(w, m.Gaps)
	writeIgnored(w, m.Ignored)
	writeCoverage(w, m.Coverage)
	writeRestricted(w, m.Restricted)
}

// writeMomentsPage writes a page, whose body write writes. If the page is
// final, the answer gets an ETag.
func writeMomentsPage(a *answer, r *http.Request, m *query.Moments, write func(io.Writer)) {
	next := ""
	if m.More {
		next = m.Next.String()
	}
	writeCounts(a, r, m.Total, m.Exact, next)
	if m.Final {
		a.hash = sha256.New()
	}
	if write(a); m.Final {
		a.validate(r, next)
	}
}

// tagOf returns the ETag of a SHA-256, without quotes.
func tagOf(sum []byte) string { return hex.EncodeToString(sum[:tagBytes]) }

// hasTag reports whether an If-None-Match header has an ETag, of the compressed
// answer or of the other one.
func hasTag(headers []string, tag string) bool {
	for entry := range strings.SplitSeq(strings.Join(headers, ","), ",") {
		entry = strings.TrimPrefix(strings.TrimSpace(entry), "W/")
		if entry == "*" || strings.TrimSuffix(strings.Trim(entry, `"`), gzipTagSuffix) == tag {
			return true
		}
	}
	return false
}
