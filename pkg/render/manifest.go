package render

import (
	"strings"

	"github.com/watchhistory/watchhistory/pkg/internal/printable"
)

// Manifest writes comments and an object as a document of YAML. Documents are
// separated by lines of dashes. Without an object, it writes only comments.
func (p *Printer) Manifest(comments []string, object any) error {
	var b strings.Builder
	if p.headed {
		b.WriteString("---\n")
	}
	p.headed = true
	for _, comment := range comments {
		b.WriteString("# " + printable.Line(comment) + "\n")
	}
	if err := p.write(b.String()); err != nil || object == nil {
		return err
	}
	return p.YAML(object)
}
