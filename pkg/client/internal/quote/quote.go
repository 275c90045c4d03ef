// Package quote makes foreign text fit for an error message: safe to print, on
// one line, and bounded.
package quote

import (
	"strings"

	"github.com/watchhistory/watchhistory/pkg/internal/printable"
)

// maxLength bounds the quoted text, in bytes.
const maxLength = 600

// Line returns text on one line, without unsafe characters. A text longer than
// maxLength is cut and ends in an ellipsis.
func Line(text string) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) > maxLength {
		text = strings.ToValidUTF8(text[:maxLength], "") + "…"
	}
	return printable.Line(text)
}
