package render

import (
	"fmt"
	"strings"

	"github.com/charmbracelet/lipgloss"

	"github.com/watchhistory/watchhistory/pkg/diff"
)

// The marks of a [PlanRow]. What can't be done is in capitals.
const (
	PlanCreate  = "create"
	PlanUpdate  = "update"
	PlanRelease = "release"
	PlanSame    = "="
	PlanSkip    = "skip"
	PlanKeep    = "keep"
	PlanCannot  = "CANNOT"
	PlanUnknown = "UNKNOWN"
)

// PlanRow is a line about one object, or about several with the same reason.
type PlanRow struct {
	Mark string
	Name string   // of the object, or how many objects
	Text []string // continues on further lines
}

// Plan writes what is to be done, a line for each row.
func (p *Printer) Plan(heading string, rows []PlanRow) error {
	if heading != "" {
		if err := p.write(p.paint(field{cell(heading), p.styles.heading}) + "\n"); err != nil {
			return err
		}
	}
	columns, texts := make([][]field, len(rows)), make([][]field, len(rows))
	for i, row := range rows {
		columns[i] = []field{{"  " + row.Mark, p.planStyle(row.Mark)}, {text: cell(row.Name)}}
		for _, text := range row.Text {
			texts[i] = append(texts[i], field{text: cell(text)})
		}
		if len(row.Text) == 0 {
			texts[i] = []field{{}}
		}
	}
	return p.besides(columns, texts, nil)
}

// planStyle returns the style of a mark.
func (p *Printer) planStyle(mark string) lipgloss.Style {
	switch mark {
	case PlanCreate:
		return p.styles.good
	case PlanUpdate, PlanRelease:
		return p.styles.warn
	case PlanCannot, PlanUnknown:
		return p.styles.bad
	default:
		return p.styles.faint
	}
}

// ObjectDiff writes a name and the structural diff of two decoded objects. It
// writes nothing if they are the same, except for noise.
func (p *Printer) ObjectDiff(name string, before, after map[string]any) error {
	var changes []diff.Change
	for _, c := range diff.Objects(before, after) {
		if !c.Noise() || p.opts.ShowNoise {
			changes = append(changes, c)
		}
	}
	if len(changes) == 0 {
		return nil
	}
	if err := p.write("\n" + p.paint(field{cell(name), p.styles.heading}) + "\n"); err != nil {
		return err
	}
	return p.changes(changes)
}

// KindName returns an object's kind in lower case and its name, as in the other
// views: "deployment/web".
func KindName(kind, name string) string { return strings.ToLower(kind) + "/" + name }

// Kinds returns numbers of objects by their kinds, as in "replicaset ×2". One
// object is named. Kinds are in the order of their first objects.
func Kinds(objects [][2]string) string {
	var kinds []string
	names := map[string][]string{}
	for _, o := range objects {
		if names[o[0]] == nil {
			kinds = append(kinds, o[0])
		}
		names[o[0]] = append(names[o[0]], o[1])
	}
	var parts []string
	for _, kind := range kinds {
		if n := len(names[kind]); n > 1 {
			parts = append(parts, fmt.Sprintf("%s ×%d", strings.ToLower(kind), n))
			continue
		}
		parts = append(parts, KindName(kind, names[kind][0]))
	}
	return strings.Join(parts, ", ")
}
