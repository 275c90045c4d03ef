package archive

import (
	"encoding/binary"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/wire"
)

// appendVersion appends a version: what is fixed, what is not, and its object up to the end.
func appendVersion(b []byte, r *history.Record) []byte {
	b = append(b, wire.Flags(r))
	b = binary.AppendUvarint(wire.AppendTime(b, r.Time), r.Revision)
	b = wire.AppendText(wire.AppendText(b, r.Ref.Group), r.Ref.Resource)
	b = wire.AppendText(wire.AppendText(wire.AppendText(b, r.Ref.Namespace), r.Ref.Name), r.Ref.UID)
	b = wire.AppendText(wire.AppendText(wire.AppendText(b, r.Version), r.Kind), r.RV)
	return append(wire.AppendAttributes(b, r), r.Object...)
}

// decodeVersion is the inverse of appendVersion. The record keeps nothing of the bytes.
func decodeVersion(b []byte) (*history.Record, error) {
	r, rec := wire.NewReader(b), &history.Record{}
	flags := r.Flags(rec)
	rec.Time, rec.Revision = past(r), r.Uvarint()
	rec.Ref = history.ObjectRef{Group: r.Text(), Resource: r.Text(), Namespace: r.Text(), Name: r.Text(), UID: types.UID(r.Text())}
	rec.Version, rec.Kind, rec.RV = r.Text(), r.Text(), r.Text()
	r.Attributes(rec, flags, true)
	if object := r.Rest(); len(object) > 0 {
		rec.Object = append([]byte(nil), object...)
	}
	return rec, r.Err()
}

// past reads a time that there has to be.
func past(r *wire.Reader) time.Time {
	t := r.Time()
	if t.IsZero() {
		r.Fail("a time is missing")
	}
	return t
}

func appendGap(b []byte, g *history.Gap) []byte {
	b = wire.AppendText(wire.AppendText(b, g.Group), g.Resource)
	b = wire.AppendTime(wire.AppendTime(b, g.Start), g.End)
	return wire.AppendText(wire.AppendText(b, g.Reason), g.Detail)
}

func decodeGap(b []byte) (history.Gap, error) {
	r := wire.NewReader(b)
	g := history.Gap{Group: r.Text(), Resource: r.Text(), Start: past(r), End: r.Time(), Reason: history.GapReason(r.Text()), Detail: r.Text()}
	return g, r.Done()
}
