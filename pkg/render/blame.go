package render

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/olekukonko/tablewriter/pkg/twwidth"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/diff"
	"github.com/watchhistory/watchhistory/pkg/writer"
)

// Blame is an object with the version that last changed each of its fields. It
// is the document of -o json and -o yaml.
type Blame struct {
	Object    v1.Object    `json:"object"`
	Revision  uint64       `json:"revision"`
	Timestamp time.Time    `json:"timestamp"`
	Fields    []BlameField `json:"fields"` // never null
}

// BlameField is a field of a [Blame].
type BlameField struct {
	Path      string    `json:"path"`
	Value     any       `json:"value"`
	Revision  uint64    `json:"revision"`  // of the version that last changed the field
	Timestamp time.Time `json:"timestamp"` // of that version
	// Manager wrote the field in that version. It is absent if the API server
	// recorded none.
	Manager string `json:"manager,omitempty"`
	Short   string `json:"short,omitempty"` // the manager, as operators call it
	// Before is the reason why the field may have been changed before that
	// version: "recording began" or "not kept". It is absent if the version is
	// known to have changed it.
	Before string `json:"before,omitempty"`
	// Also are other managers that wrote the field in other versions, the
	// newest first, as far as the record shows.
	Also []BlameWriter `json:"alsoWrittenBy,omitempty"`

	Segments diff.Path `json:"-"` // Path in parsed form
	Event    *v1.Event `json:"-"` // that version
}

// BlameWriter is a manager that wrote a field in an earlier version.
type BlameWriter struct {
	Manager   string    `json:"manager"`
	Short     string    `json:"short"`     // as operators call it
	Revision  uint64    `json:"revision"`  // of the newest version in which it did
	Timestamp time.Time `json:"timestamp"` // of that version
}

// The values of [BlameField.Before].
const (
	BeforeRecording = "recording began"
	BeforeRetention = "not kept"
)

// minValueWidth is the room for values below which the fields are written below
// the paths of their parents.
const minValueWidth = 24

// Blame writes the fields of an object as git blame writes lines: with the
// revision, writer and time of the version that last changed each. A field
// whose change was not recorded has a ^ before its revision.
//
// The beginning that a path has in common with the one above it is left out. On
// a narrow terminal, fields are written below the path of their parent.
func (p *Printer) Blame(b *Blame) error {
	if len(b.Fields) == 0 {
		return nil
	}
	rows := make([][]field, len(b.Fields))
	width := 0
	for i := range b.Fields {
		f := &b.Fields[i]
		rows[i] = p.blamed(f)
		width = max(width, twwidth.Width(label(f.Segments))+1)
	}
	room := p.room(rows)
	headers := p.opts.NoHeaders
	p.opts.NoHeaders = true
	defer func() { p.opts.NoHeaders = headers }()
	if room == 0 || room-width-gutter >= minValueWidth {
		var above []string
		for i := range rows {
			parts := segments(b.Fields[i].Segments)
			rows[i] = append(rows[i], field{text: spaced(elided(parts, above) + ":")})
			above = parts
		}
		return p.table(make([]string, len(rows[0])+1), p.withValues(b, rows, room-width-gutter))
	}
	return p.stackedBlame(b, rows)
}

// withValues appends the values of fields to their rows. What does not fit next
// to a value follows below it.
func (p *Printer) withValues(b *Blame, rows [][]field, room int) (all [][]field) {
	for i, row := range rows {
		value, also := p.blamedValue(&b.Fields[i]), p.alsoWritten(&b.Fields[i])
		fits := p.opts.Width <= 0 || twwidth.Width(value.text+also.text)+gutter <= room
		if also.text != "" && fits {
			value.text += "   " + also.text
		}
		all = append(all, append(row, value))
		if also.text != "" && !fits {
			below := make([]field, len(row)+1)
			below[len(row)] = also
			all = append(all, below)
		}
	}
	return all
}

// maxAlsoShown is how many other writers of a field are shown.
const maxAlsoShown = 3

// alsoWritten returns which other managers wrote a field.
func (p *Printer) alsoWritten(f *BlameField) field {
	if len(f.Also) == 0 {
		return field{}
	}
	var names []string
	for _, w := range f.Also[:min(len(f.Also), maxAlsoShown)] {
		name := w.Short
		if p.opts.Wide {
			name += fmt.Sprintf(" in #%d, %s", w.Revision, p.ago(w.Timestamp))
		}
		names = append(names, name)
	}
	text := strings.Join(names, ", ")
	if more := len(f.Also) - maxAlsoShown; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return field{text: cell("(also written by " + text + ")"), style: p.styles.faint}
}

// stackedBlame writes fields below the paths of their parents.
func (p *Printer) stackedBlame(b *Blame, columns [][]field) error {
	var rows [][]field
	parent := ""
	for i := range columns {
		parts := segments(b.Fields[i].Segments)
		last := len(parts) - 1
		if above := strings.Join(parts[:last], ""); above != parent {
			parent = above
			if parent != "" {
				rows = append(rows, []field{{text: cell(parent), style: p.styles.parent}})
			}
		}
		indent := "  "
		if parent == "" {
			indent = ""
		}
		value := p.blamedValue(&b.Fields[i])
		value.text = indent + cell(strings.TrimPrefix(parts[last], ".")) + ": " + value.text
		rows = append(rows, append(columns[i], value))
		if also := p.alsoWritten(&b.Fields[i]); also.text != "" {
			also.text = indent + "  " + also.text
			rows = append(rows, append(make([]field, len(columns[i])), also))
		}
	}
	return p.table(make([]string, len(columns[0])+1), rows)
}

// blamed returns the revision, the writer and the time of a field.
func (p *Printer) blamed(f *BlameField) []field {
	revision := field{text: "#" + strconv.FormatUint(f.Revision, 10)}
	who := field{text: f.Short}
	if f.Before != "" {
		revision = field{text: "^" + revision.text, style: p.styles.faint}
	}
	if who.text == "" && f.Before == "" {
		who.text = unmanaged(f.Event.Unmanaged, p.opts.Wide)
	}
	who.text = cell(who.text)
	switch writer.ClassOf(f.Manager) {
	case writer.Person:
		who.style = p.styles.heading
	case writer.System:
		who.style = p.styles.faint
	}
	return []field{revision, who, {text: p.when(f.Timestamp)}}
}

// blamedValue returns the value of a field on one line.
func (p *Printer) blamedValue(f *BlameField) field {
	text, isText := f.Value.(string)
	if lines := strings.Split(strings.TrimRight(text, "\n"), "\n"); isText && len(lines) > 1 {
		return field{text: cell(lines[0]) + fmt.Sprintf(" … (%d lines)", len(lines))}
	}
	return field{text: cell(strings.Join(yamlLines(f.Value), " "))}
}

// segments returns the texts of a path's segments. The key of an item is only
// its value, as in [app], and the field "value" of an item is left out.
func segments(path diff.Path) []string {
	if n := len(path); n > 1 && path[n-1].Field == "value" && path[n-2].Key != "" {
		path = path[:n-1]
	}
	parts := make([]string, len(path))
	for i := range path {
		parts[i] = path[i : i+1].String()
		switch {
		case path[i].Key != "":
			if _, value, _ := strings.Cut(path[i].Key, "="); !strings.ContainsAny(value, "[]\" \t\r\n,") {
				parts[i] = "[" + value + "]"
			}
		case i > 0 && !strings.HasPrefix(parts[i], "["):
			parts[i] = "." + parts[i]
		}
	}
	return parts
}

// label returns the text of a path.
func label(path diff.Path) string { return strings.Join(segments(path), "") }

// elided returns a path with spaces for the segments that it has in common with
// the one above it.
func elided(parts, above []string) string {
	same := 0
	for same < len(parts)-1 && same < len(above) && parts[same] == above[same] {
		same++
	}
	return strings.Repeat(" ", twwidth.Width(strings.Join(parts[:same], ""))) + strings.Join(parts[same:], "")
}

// spaced is [cell] for a text that begins with spaces.
func spaced(text string) string {
	rest := strings.TrimLeft(text, " ")
	return text[:len(text)-len(rest)] + cell(rest)
}
