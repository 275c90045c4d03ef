package cli

import (
	"context"
	"fmt"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/render"
)

// differ writes diffs, and counts what they hide.
type differ struct {
	env     *Environment
	printer *render.Printer
	unified bool
	shown   int // diffs that have something in them
	hidden  int // changes
}

func (o *historyOptions) differ() *differ {
	return &differ{env: &o.env, printer: o.printer(&o.env, false, o.showNoise), unified: o.diff == diffUnified}
}

// write writes one diff; old may be nil: that there is no version before is something to show.
func (d *differ) write(old, new *v1.Event) (err error) {
	differs := false
	if d.unified {
		differs, err = d.printer.Unified(old, new)
	} else {
		var shown, hidden int
		shown, hidden, err = d.printer.Diff(old, new)
		differs = shown > 0
		d.hidden += hidden
	}
	if differs || old == nil {
		d.shown++
	}
	return err
}

// finish says what was hidden.
func (d *differ) finish() {
	if d.hidden > 0 {
		d.env.note(fmt.Sprintf("%s that %s noise %s hidden; --show-noise shows them", plural(d.hidden, "change"), are(d.hidden), are(d.hidden)))
	}
}

// showDiffs writes what changed in each visible version against the one before it, which is among all that were read or is
// asked for.
func (o *historyOptions) showDiffs(ctx context.Context, v *versions, visible, all []v1.Event) error {
	type key struct {
		uid      string
		revision uint64
	}
	read := map[key]*v1.Event{}
	for i := range all {
		read[key{all[i].UID, all[i].Revision}] = &all[i]
	}
	d := o.differ()
	for i := range visible {
		e := &visible[i]
		before := read[key{e.UID, e.Revision - 1}]
		if before == nil && e.Revision > 1 {
			found, err := v.exactly(ctx, history.ScopeOf(e.Namespace), e.UID, e.Revision-1)
			if err != nil {
				return err
			}
			before = found[e.Revision-1]
		}
		if err := d.write(before, e); err != nil {
			return err
		}
	}
	d.finish()
	return nil
}
