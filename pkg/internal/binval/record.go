package binval

import (
	"encoding/binary"

	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// The flags of a version. The lowest two bits are its verb.
const (
	flagInitial = 1 << (iota + 2)
	flagInferred
	flagRegarding
	flagSummary
	flagAdditional  // of callers, see [Reader.FlagsWith]
	flagConsequence // the class is not history.Root
)

// Flags returns the flags of a version: its verb, whether it is initial, and
// which attributes it has.
func Flags(r *history.Record) byte {
	f := byte(r.Verb)
	if r.Initial {
		f |= flagInitial
	}
	if !r.InferredSince.IsZero() {
		f |= flagInferred
	}
	if r.Regarding != nil {
		f |= flagRegarding
	}
	if r.Summary != nil {
		f |= flagSummary
	}
	if r.Class != history.Root {
		f |= flagConsequence
	}
	return f
}

// Flags reads the flags of a version. It sets the record's Verb, Initial and
// Class. It does not distinguish consequences from onsets.
func (r *Reader) Flags(rec *history.Record) byte {
	f, _ := r.FlagsWith(rec, 0)
	return f
}

// FlagsWith reads the flags of a version like Flags. They may contain an
// additional flag of the caller. FlagsWith removes it from the flags, and
// reports whether it was set.
func (r *Reader) FlagsWith(rec *history.Record, additional byte) (flags byte, set bool) {
	f := r.Byte()
	set = f&additional != 0
	f &^= additional
	if rec.Verb = history.Verb(f & 3); rec.Verb == 0 || f&flagAdditional != 0 {
		r.Fail("bad flags")
	}
	rec.Initial = f&flagInitial != 0
	if f&flagConsequence != 0 {
		rec.Class = history.Consequence
	}
	return f, set
}

// HasTarget reports whether a version with the flags has a target.
func HasTarget(flags byte) bool { return flags&flagRegarding != 0 }

// HasSummary reports whether a version with the flags has a summary.
func HasSummary(flags byte) bool { return flags&flagSummary != 0 }

// AppendAttributes appends the attributes of a version: InferredSince,
// Managers, Owners, Regarding and Summary. Those that the flags don't announce
// are omitted.
func AppendAttributes(b []byte, r *history.Record) []byte {
	if !r.InferredSince.IsZero() {
		b = AppendTime(b, r.InferredSince)
	}
	b = AppendTexts(appendManagers(b, r.Managers), r.Owners)
	if r.Regarding != nil {
		b = AppendTarget(b, r.Regarding)
	}
	if r.Summary != nil {
		b = AppendText(AppendText(b, r.Summary.Text), r.Summary.Problem)
	}
	return b
}

// Attributes reads what [AppendAttributes] wrote into rec.
func (r *Reader) Attributes(rec *history.Record, flags byte) {
	r.InferredSince(rec, flags)
	rec.Managers, rec.Owners = r.managers(), Texts[types.UID](r)
	if HasTarget(flags) {
		rec.Regarding = r.Target()
	}
	if HasSummary(flags) {
		rec.Summary = &history.Summary{Text: r.Text(), Problem: r.Text()}
	}
}

// InferredSince reads the record's InferredSince, if the flags announce it.
func (r *Reader) InferredSince(rec *history.Record, flags byte) {
	if flags&flagInferred == 0 {
		return
	}
	if rec.InferredSince = r.Time(); rec.InferredSince.IsZero() {
		r.Fail("inferred version without a time")
	}
}

// appendManagers appends the number of field managers, and the managers.
func appendManagers(b []byte, list []history.Manager) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, m := range list {
		b = AppendText(AppendText(AppendText(b, m.Name), m.Operation), m.Subresource)
		b = AppendTexts(AppendTime(b, m.Time), m.Fields)
	}
	return b
}

// managers reads what appendManagers wrote. An empty list is nil.
func (r *Reader) managers() []history.Manager {
	var list []history.Manager
	for n := r.Count(); len(list) < n && r.err == nil; {
		list = append(list, history.Manager{
			Name: r.Text(), Operation: r.Text(), Subresource: r.Text(), Time: r.Time(), Fields: Texts[string](r),
		})
	}
	return list
}

// AppendTexts appends the number of texts, and the texts.
func AppendTexts[S ~string](b []byte, list []S) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, s := range list {
		b = AppendText(b, s)
	}
	return b
}

// Texts reads what [AppendTexts] wrote. An empty list is nil.
func Texts[S ~string](r *Reader) []S {
	var list []S
	for n := r.Count(); len(list) < n && r.err == nil; {
		list = append(list, S(r.Text()))
	}
	return list
}

// AppendTarget appends the target of an Event.
func AppendTarget(b []byte, t *history.Target) []byte {
	b = AppendText(AppendText(b, t.Group), t.Kind)
	return AppendText(AppendText(AppendText(b, t.Namespace), t.Name), t.UID)
}

// Target reads what [AppendTarget] wrote.
func (r *Reader) Target() *history.Target {
	return &history.Target{
		Group: r.Text(), Kind: r.Text(), Namespace: r.Text(), Name: r.Text(), UID: types.UID(r.Text()),
	}
}
