package archive

import (
	"encoding/binary"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/binval"
)

// appendVersion appends a version: what is fixed, what is not, and its object up to the end.
func appendVersion(b []byte, r *history.Record) []byte {
	b = append(b, binval.Flags(r))
	b = binary.AppendUvarint(binval.AppendTime(b, r.Time), r.Revision)
	b = binval.AppendText(binval.AppendText(b, r.Ref.Group), r.Ref.Resource)
	b = binval.AppendText(binval.AppendText(binval.AppendText(b, r.Ref.Namespace), r.Ref.Name), r.Ref.UID)
	b = binval.AppendText(binval.AppendText(binval.AppendText(b, r.Version), r.Kind), r.RV)
	return append(binval.AppendAttributes(b, r), r.Object...)
}

// decodeVersion is the inverse of appendVersion. The record keeps nothing of the bytes.
func decodeVersion(b []byte) (*history.Record, error) {
	r, rec := binval.NewReader(b), &history.Record{}
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
func past(r *binval.Reader) time.Time {
	t := r.Time()
	if t.IsZero() {
		r.Fail("a time is missing")
	}
	return t
}

func appendGap(b []byte, g *history.Gap) []byte {
	b = binval.AppendText(binval.AppendText(b, g.Group), g.Resource)
	b = binval.AppendTime(binval.AppendTime(b, g.Start), g.End)
	return binval.AppendText(binval.AppendText(b, g.Reason), g.Detail)
}

func decodeGap(b []byte) (history.Gap, error) {
	r := binval.NewReader(b)
	g := history.Gap{Group: r.Text(), Resource: r.Text(), Start: past(r), End: r.Time(), Reason: history.GapReason(r.Text()), Detail: r.Text()}
	return g, r.Done()
}
