package report

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"strings"

	"github.com/watchhistory/watchhistory/pkg/internal/printable"
	"github.com/watchhistory/watchhistory/pkg/render"
)

// The script and the style sheet of the page, as make page builds them.
var (
	//go:embed page/built/page.js
	pageScript string
	//go:embed page/built/page.css
	pageStyle string
)

// maxPage bounds a page, in bytes.
const maxPage = 2_000_000

// WriteHTML writes a report as a page of one file, of at most 2 MB. If it is
// too large, diffs, manifests and the oldest rows are left out, and the page
// names how many.
//
// The page loads nothing, and its policy forbids it to. The data is compressed
// JSON in base64. No character of it can end the element that it is in.
func WriteHTML(w io.Writer, r *Report) error {
	room := maxPage - len(pageScript) - len(pageStyle) - len(printable.Line(r.Title))*maxEscape - frameSize
	data := ""
	for _, level := range levels() {
		packed, err := pack(r, level)
		if err != nil {
			return fmt.Errorf("write report: %w", err)
		}
		if data = packed; len(data) <= room {
			break
		}
	}
	title := html.EscapeString(printable.Line(r.Title))
	about := html.EscapeString(printable.Line(place(r.Namespace) + " · " + render.RowTotals(r.v1Rows())))
	_, err := fmt.Fprintf(w, frame, policy(), title, pageStyle, title, about, data, pageScript)
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// maxEscape is how many bytes a byte of a title may become, in two places.
const maxEscape = 10

// frameSize is the room for everything else on the page.
const frameSize = 4 << 10

// frame is the page. Its verbs are those of the policy, the title, the style
// sheet, the title, what the report is about, the data and the script.
const frame = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="%s">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>%s</title>
<link rel="icon" href="data:,">
<style>%s</style>
</head>
<body>
<div id="page"><main><h1>%s</h1><p>%s</p>
<noscript><p>This page needs JavaScript. A report in Markdown does not.</p></noscript></main></div>
<script type="text/plain" id="data">%s</script>
<script>%s</script>
</body>
</html>
`

// policy returns the content security policy: only the script and the style
// sheet of this page, no connection, and no markup made of text.
func policy() string {
	return strings.Join([]string{
		"default-src 'none'",
		"script-src " + source(pageScript),
		"style-src " + source(pageStyle),
		"img-src data:",
		"base-uri 'none'",
		"form-action 'none'",
		"require-trusted-types-for 'script'",
		"trusted-types 'none'",
	}, "; ")
}

// source returns the hash of an element's text, as a policy writes it.
func source(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// level bounds the parts of the data, in bytes before compression and in rows.
type level struct{ diffs, manifests, rows int }

// levels returns the bounds that are tried one after another.
func levels() (all []level) {
	const unlimited = 1 << 40
	all = []level{{unlimited, unlimited, unlimited}}
	for size := 8 << 20; size >= 256<<10; size /= 2 {
		all = append(all, level{size, size / 4, unlimited})
	}
	for rows := 16_000; rows > 0; rows /= 2 {
		all = append(all, level{64 << 10, 16 << 10, rows})
	}
	return all
}

// pack returns the data of a report: JSON, compressed, in base64.
func pack(r *Report, bounds level) (string, error) {
	var packed bytes.Buffer
	z, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return "", err
	}
	e := json.NewEncoder(z)
	e.SetEscapeHTML(false)
	if err := e.Encode(newPage(r, bounds)); err != nil {
		return "", err
	}
	if err := z.Close(); err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(packed.Bytes()), nil
}
