package render

import (
	"bytes"
	"encoding/json"
	"fmt"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/diff"
)

// Diff writes a heading and the structural diff of two versions of an object.
// If old is nil, it writes only the heading. It returns the number of changes
// that it wrote, and the number of those that it hid as noise.
func (p *Printer) Diff(old, new *v1.Event) (shown, hidden int, err error) {
	if err := p.heading(old, new); err != nil || old == nil {
		return 0, 0, err
	}
	return p.Changes(old, new)
}

// Changes is [Printer.Diff] without the heading. Both versions are required.
func (p *Printer) Changes(old, new *v1.Event) (shown, hidden int, err error) {
	before, err := Decode(old)
	if err != nil {
		return 0, 0, err
	}
	after, err := Decode(new)
	if err != nil {
		return 0, 0, err
	}
	return p.differences(before, after)
}

// Created is [Printer.Diff] for an object that did not exist before: all of the
// version is added. The version need not be the first one.
func (p *Printer) Created(e *v1.Event) (shown, hidden int, err error) {
	if err := p.title(e, fmt.Sprintf("revision %d  %s: created", e.Revision, p.ago(e.Timestamp))); err != nil {
		return 0, 0, err
	}
	after, err := Decode(e)
	if err != nil {
		return 0, 0, err
	}
	return p.differences(map[string]any{}, after)
}

// differences writes what differs between two objects.
func (p *Printer) differences(before, after map[string]any) (shown, hidden int, err error) {
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

// Decode returns the object of a version. Numbers keep their text.
func Decode(e *v1.Event) (map[string]any, error) {
	var object map[string]any
	d := json.NewDecoder(bytes.NewReader(e.ObjectChanges))
	d.UseNumber()
	if err := d.Decode(&object); err != nil {
		return nil, fmt.Errorf("decode revision %d of %s: %w", e.Revision, fullName(e), err)
	}
	return object, nil
}

// heading writes "deployment.apps/web  revision 13 → 14  3m ago by
// kubectl-set". An empty line separates it from an earlier diff.
func (p *Printer) heading(old, new *v1.Event) error {
	what := fmt.Sprintf("revision %d", new.Revision)
	if old != nil {
		what = fmt.Sprintf("revision %d → %d", old.Revision, new.Revision)
	}
	what += "  " + p.ago(new.Timestamp)
	if isOneChange := old == nil || old.Revision+1 == new.Revision; isOneChange && !IsAnonymous(new) {
		what += " by " + p.who(new).text
	}
	if new.Verb != "update" || old == nil {
		what += ": " + cell(new.Summary)
	}
	return p.title(new, what)
}

// title writes the name of a version's object and a text. An empty line
// separates it from an earlier diff.
func (p *Printer) title(e *v1.Event, what string) error {
	separator := ""
	if p.headed {
		separator = "\n"
	}
	p.headed = true
	return p.write(separator + p.paint(field{cell(fullName(e)), p.styles.heading}) + "  " + what + "\n")
}
