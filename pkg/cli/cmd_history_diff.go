package cli

import (
	"context"
	"fmt"
	"slices"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/render"
)

// diffWriter writes diffs and counts the changes that they hide.
type diffWriter struct {
	env     *Environment
	printer *render.Printer
	unified bool
	bare    bool // without headings
	shown   int  // the diffs that are not empty
	hidden  int  // the changes that are noise
}

// diffWriter returns a writer for the form that --diff selects. It ends the
// progress line.
func (o *historyOptions) diffWriter() *diffWriter {
	return &diffWriter{env: &o.env, printer: o.printer(&o.env, false, o.showNoise), unified: o.diff == diffUnified}
}

// write writes the diff from old to new. If old is nil, it writes only the
// heading of new, which counts as a diff. Without headings, old is required.
func (d *diffWriter) write(old, new *v1.Event) (err error) {
	differs := false
	if d.unified {
		differs, err = d.printer.Unified(old, new)
	} else {
		compare := d.printer.Diff
		if d.bare {
			compare = d.printer.Changes
		}
		var shown, hidden int
		shown, hidden, err = compare(old, new)
		differs = shown > 0
		d.hidden += hidden
	}
	if differs || old == nil {
		d.shown++
	}
	return err
}

// writeCreated writes a version of an object that did not exist before.
func (d *diffWriter) writeCreated(e *v1.Event) (err error) {
	d.shown++
	if d.unified {
		_, err = d.printer.UnifiedCreated(e)
		return err
	}
	_, hidden, err := d.printer.Created(e)
	d.hidden += hidden
	return err
}

// noteHidden writes a note with the number of hidden changes.
func (d *diffWriter) noteHidden() {
	if d.hidden > 0 {
		verb := are(d.hidden)
		d.env.note(fmt.Sprintf("%s that %s noise %s hidden; --show-noise shows them",
			plural(d.hidden, "change"), verb, verb))
	}
}

// showDiffs writes the diff of each visible version to the previous one. The
// previous version is one of all, or is read from the recorder.
//
// A version without a previous one gets only a heading: it is the first
// revision, or retention dropped the one before it.
func (o *historyOptions) showDiffs(ctx context.Context, v *versions, visible, all []v1.Event) error {
	read := map[render.VersionKey]*v1.Event{}
	for i := range all {
		read[render.KeyOf(&all[i])] = &all[i]
	}
	if err := v.readPrevious(ctx, visible, read); err != nil {
		return err
	}
	d := o.diffWriter()
	for i := range visible {
		e := &visible[i]
		if err := d.write(read[render.VersionKey{UID: e.UID, Revision: e.Revision - 1}], e); err != nil {
			return err
		}
	}
	d.noteHidden()
	return nil
}

// previousPage is the number of previous versions in a request.
const previousPage = 50

// readPrevious reads the versions before those of events that are not read yet.
func (v *versions) readPrevious(ctx context.Context, events []v1.Event, read map[render.VersionKey]*v1.Event) error {
	type incarnation struct{ namespace, uid string }
	missing := map[incarnation][]uint64{}
	for i := range events {
		e := &events[i]
		if e.Revision > 1 && read[render.VersionKey{UID: e.UID, Revision: e.Revision - 1}] == nil {
			key := incarnation{e.Namespace, e.UID}
			missing[key] = append(missing[key], e.Revision-1)
		}
	}
	for of, numbers := range missing {
		for some := range slices.Chunk(numbers, previousPage) {
			found, err := v.exactly(ctx, history.ScopeOf(of.namespace), of.uid, some...)
			if err != nil {
				return err
			}
			for number, e := range found {
				read[render.VersionKey{UID: of.uid, Revision: number}] = e
			}
		}
	}
	return nil
}
