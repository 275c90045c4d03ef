package binval

import (
	"encoding/binary"

	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// The flags of a version. The verb stands in the lowest two bits.
const (
	flagInitial = 1 << (iota + 2)
	flagInferred
	flagRegarding
	flagWords
	flagsEnd
)

// Flags returns the flags of a version, in a byte: its verb, whether it is initial, and which attributes it has.
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
		f |= flagWords
	}
	return f
}

// Flags reads the flags of a version, and sets the record's verb and whether it is initial.
func (r *Reader) Flags(rec *history.Record) byte {
	f, _ := r.FlagsBeside(rec, 0)
	return f
}

// FlagsBeside reads the flags of a version, as Flags does, among which there may be another one that is not of the version's, and
// tells that.
func (r *Reader) FlagsBeside(rec *history.Record, other byte) (flags byte, set bool) {
	f := r.Byte()
	set = f&other != 0
	f &^= other
	if rec.Verb = history.Verb(f & 3); rec.Verb == 0 || f >= flagsEnd {
		r.Fail("bad flags")
	}
	rec.Initial = f&flagInitial != 0
	return f, set
}

// HasTarget tells whether flags say that the version has a target.
func HasTarget(flags byte) bool { return flags&flagRegarding != 0 }

// HasWords tells whether flags say that the version has words.
func HasWords(flags byte) bool { return flags&flagWords != 0 }

// AppendAttributes appends what a version has beside its name, as far as its flags say that it has it: since when it is inferred,
// its managers, the number of its owners and those, its target, and its words.
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

// Attributes reads what [AppendAttributes] wrote; without the managers' fields, where none were written.
func (r *Reader) Attributes(rec *history.Record, flags byte, fields bool) {
	r.Since(rec, flags)
	rec.Managers, rec.Owners = r.managers(fields), Texts[types.UID](r)
	if HasTarget(flags) {
		rec.Regarding = r.Target()
	}
	if flags&flagWords != 0 {
		rec.Summary = &history.Summary{Text: r.Text(), Problem: r.Text()}
	}
}

// Since reads since when the version is inferred, where its flags say that it is.
func (r *Reader) Since(rec *history.Record, flags byte) {
	if flags&flagInferred == 0 {
		return
	}
	if rec.InferredSince = r.Time(); rec.InferredSince.IsZero() {
		r.Fail("inferred, but not since when")
	}
}

// appendManagers appends field managers: their number, and of each its name, operation and subresource, its time, and the number
// of its fields and those.
func appendManagers(b []byte, list []history.Manager) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, m := range list {
		b = AppendText(AppendText(AppendText(b, m.Name), m.Operation), m.Subresource)
		b = AppendTexts(AppendTime(b, m.Time), m.Fields)
	}
	return b
}

func (r *Reader) managers(fields bool) []history.Manager {
	var list []history.Manager
	for n := r.Count(); len(list) < n && r.err == nil; {
		m := history.Manager{Name: r.Text(), Operation: r.Text(), Subresource: r.Text(), Time: r.Time()}
		if fields {
			m.Fields = Texts[string](r)
		}
		list = append(list, m)
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

// Texts reads what [AppendTexts] wrote. Of none it makes nil.
func Texts[S ~string](r *Reader) []S {
	var list []S
	for n := r.Count(); len(list) < n && r.err == nil; {
		list = append(list, S(r.Text()))
	}
	return list
}

// AppendTarget appends what an Event is about.
func AppendTarget(b []byte, t *history.Target) []byte {
	b = AppendText(AppendText(b, t.Group), t.Kind)
	return AppendText(AppendText(AppendText(b, t.Namespace), t.Name), t.UID)
}

// Target reads what [AppendTarget] wrote.
func (r *Reader) Target() *history.Target {
	return &history.Target{Group: r.Text(), Kind: r.Text(), Namespace: r.Text(), Name: r.Text(), UID: types.UID(r.Text())}
}
