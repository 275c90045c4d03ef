package render

import (
	"bytes"
	"encoding/json"
	"fmt"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/diff"
)

// Diff writes what changed from one version of an object to another, under a heading. Where old is nil, it writes the
// heading only. It returns how many changes it showed, and how many it hid because they are noise.
func (p *Printer) Diff(old, new *v1.Event) (shown, hidden int, err error) {
	if err := p.heading(old, new); err != nil || old == nil {
		return 0, 0, err
	}
	before, err := decode(old)
	if err != nil {
		return 0, 0, err
	}
	after, err := decode(new)
	if err != nil {
		return 0, 0, err
	}
	var changes []diff.Change
	for _, c := range diff.Objects(before, after) {
		if c.Noise() && !p.opts.ShowNoise {
			hidden++
			continue
		}
		changes = append(changes, c)
	}
	return len(changes), hidden, p.changes(changes)
}

// decode keeps numbers as they are written.
func decode(e *v1.Event) (map[string]any, error) {
	var object map[string]any
	d := json.NewDecoder(bytes.NewReader(e.ObjectChanges))
	d.UseNumber()
	if err := d.Decode(&object); err != nil {
		return nil, fmt.Errorf("read revision %d of %s: %w", e.Revision, fullName(e), err)
	}
	return object, nil
}

// heading is "deployment.apps/web  revision 13 → 14  3m ago by kubectl-set".
func (p *Printer) heading(old, new *v1.Event) error {
	what := fmt.Sprintf("revision %d", new.Revision)
	if old != nil {
		what = fmt.Sprintf("revision %d → %d", old.Revision, new.Revision)
	}
	what += "  " + p.ago(new.Timestamp)
	if isOneWrite := old == nil || old.Revision+1 == new.Revision; isOneWrite && !IsAnonymous(new) {
		what += " by " + p.who(new).text
	}
	if new.Verb != "update" || old == nil {
		what += ": " + cell(new.Summary)
	}
	between := ""
	if p.headed {
		between = "\n"
	}
	p.headed = true
	return p.write(between + p.paint(field{cell(fullName(new)), p.styles.heading}) + "  " + what + "\n")
}
