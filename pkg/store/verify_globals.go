package store

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	badger "github.com/dgraph-io/badger/v4"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// objectKeys compares the keys that exist once for each object: its head, its
// identity and its name. The identity determines the keys of the other two.
type objectKeys struct{ heads, names pairing }

// global verifies a key that belongs to no day. The letter with which the key
// begins determines its keyspace. The caller reports a returned error as damage
// of the key.
func (v *verifier) global(k, value []byte) error {
	switch k[0] {
	case key.Heads(0)[0]:
		return v.head(k, value)
	case key.Identity(0)[0]:
		return v.identity(k, value)
	case key.Names("")[0]:
		_, _, _, err := key.DecodeName(k)
		v.objects.names.got.add(k)
		return err
	case key.Text(0, "")[0]:
		return v.term(k, value)
	case key.Checkpoint(0)[0]:
		if len(k) != 3 {
			return key.ErrMalformed
		}
		_, _, err := codec.DecodeCheckpoint(value)
		return errors.Join(err, v.resource(binary.BigEndian.Uint16(k[1:])))
	case key.AllGaps()[0]:
		n, _, err := key.DecodeGap(k)
		if err != nil {
			return err
		}
		_, err = codec.DecodeGap(value)
		return errors.Join(err, v.resource(n))
	case key.Catalogue()[0]:
		return json.Unmarshal(value, &history.Resource{})
	case key.BaselinesOf(0)[0]:
		return v.baseline(k, value)
	case key.Format()[0]:
		return nil // the log does not open if these are corrupt
	default:
		return errors.New("unknown key")
	}
}

// head verifies an object's head. The head of an object that is alive names its
// newest version.
func (v *verifier) head(k, value []byte) error {
	h, err := codec.DecodeHead(value)
	if err != nil {
		return err
	}
	v.highest.Object = max(v.highest.Object, h.Object)
	v.objects.heads.got.add(headOf(k, h.Object, h.Relations))
	if h.Last.TS == 0 {
		return nil // a repair lost the newest version
	}
	e := key.Entry{Object: h.Object, TS: h.Last.TS}
	if h.Last.TS < key.Start(v.r.floorDay) {
		return v.storedBaseline(e, h)
	}
	meta, err := get(v.r.txn, e.In(key.Record))
	switch {
	case v.r.droppedMeanwhile(key.Day(e.TS)): // the metadata may be gone
		return nil
	case errors.Is(err, badger.ErrKeyNotFound):
		v.version(e, "the newest version (revision %d) is missing", h.Revision)
		return nil
	case err != nil:
		return err
	}
	v.newest(e, h, meta)
	return nil
}

// storedBaseline checks that an object that is alive has a baseline, because
// the day of its newest version was dropped.
func (v *verifier) storedBaseline(e key.Entry, h codec.Head) error {
	if !h.Alive {
		return nil
	}
	of, ok, err := v.r.storedBaseline(h.Object)
	if err != nil {
		return err
	}
	if !ok || of.TS != h.Last.TS {
		v.version(e, "the baseline (revision %d) is missing", h.Revision)
	}
	return nil
}

// baseline verifies a key of a baseline: an entry in the index of owners, a
// part of a body, or metadata. The metadata is compared with the number of body
// parts and with the index entries, and the body is decoded.
func (v *verifier) baseline(k, value []byte) error {
	if _, _, err := key.DecodeBaselineOwner(k); err == nil {
		v.baselineOwners.got.add(k)
		return nil
	}
	object, ts, err := key.DecodeBaseline(k)
	if err != nil { // a part of a body, which is verified with its metadata
		v.baselineParts++
		return nil //nolint:nilerr // endOfLog counts them
	}
	e := key.Entry{Object: object, TS: ts}
	rec, m, err := v.r.record(e, value)
	if err == nil {
		v.baselineParts -= int64(m.Parts)
		for k := range baselineKeys(rec, object, ts) {
			v.baselineOwners.want.add(k)
		}
		_, err = v.r.readBaselineBody(e, m.Parts)
	}
	if err != nil {
		v.version(e, "baseline: %v", err)
	}
	return nil
}

// newest compares the metadata of an object's newest version with its head.
func (v *verifier) newest(e key.Entry, h codec.Head, meta []byte) {
	var rec history.Record
	m, err := codec.DecodeMeta(meta, e.TS, &rec, func(n uint16) (string, error) { return v.r.phrase(key.Day(e.TS), n) })
	switch {
	case err != nil: // reported with the version
	case rec.Revision != h.Revision, rec.RV != h.RV:
		v.version(e, "the head has revision %d (resourceVersion %s), the version has revision %d (resourceVersion %s)",
			h.Revision, h.RV, rec.Revision, rec.RV)
	case m.Parts != h.Last.Parts, h.Last.Chain > maxChain:
		v.version(e, "the head names another body")
	}
}

// headOf returns what a head and an identity have in common: the head's key,
// the object's number, and the checksum of its relations.
func headOf(k []byte, object, relations uint64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(slices.Clip(k), object), relations)
}

// identity verifies an object's identity. It adds the keys of the head and the
// name that the identity requires.
func (v *verifier) identity(k, value []byte) error {
	if len(k) != 1+8 {
		return key.ErrMalformed
	}
	object := binary.BigEndian.Uint64(k[1:])
	id, err := codec.DecodeIdentity(value)
	if err != nil {
		return err
	}
	v.highest.Object = max(v.highest.Object, object)
	v.objects.names.want.add(key.Name(id.Name, id.Resource, id.Namespace, object))
	head := key.Head(id.Resource, id.Namespace, id.Name, string(id.UID))
	v.objects.heads.want.add(headOf(head, object, id.Relations))
	_, err = v.r.ref(id)
	return err
}

// term verifies one of the two keys of a dictionary entry. Both are added to
// the fingerprints in the same form: dictionary, number, text.
func (v *verifier) term(k, value []byte) error {
	if len(k) < 3 {
		return key.ErrMalformed
	}
	of, number, text := key.Dictionary(k[1]), value, k[3:]
	side := &v.terms.got
	if k[2] == 'n' { // from number to text; otherwise from text to number
		number, text = k[3:], value
		side = &v.terms.want
	}
	if len(number) != 4 {
		return codec.ErrCorrupt
	}
	side.add(append(append([]byte{byte(of)}, number...), text...))
	n := binary.BigEndian.Uint32(number)
	switch h := &v.highest; of {
	case key.Resources:
		h.Resources = max(h.Resources, n)
	case key.Namespaces:
		h.Namespaces = max(h.Namespaces, n)
	case key.Kinds:
		h.Kinds = max(h.Kinds, n)
	default:
		return fmt.Errorf("%w: unknown dictionary", codec.ErrCorrupt)
	}
	return nil
}

// resource checks that a resource has a name.
func (v *verifier) resource(n uint16) error {
	_, err := v.s.terms.text(v.r.txn, termNumber{key.Resources, uint32(n)})
	return err
}

// endOfLog compares the keys that belong to no day with each other, and the
// log's state with the highest time and numbers of all keys.
func (v *verifier) endOfLog() error {
	for what, p := range map[string]pairing{
		"heads": v.objects.heads, "names": v.objects.names, "numbers": v.terms, "owners of baselines": v.baselineOwners,
	} {
		if p.want != p.got {
			v.problem("%s don't match: got %d, want %d", what, p.got.n, p.want.n)
		}
	}
	if v.baselineParts > 0 {
		v.problem("%d parts of bodies belong to no baseline", v.baselineParts)
	}
	b, err := get(v.r.txn, key.State())
	if err != nil {
		return err
	}
	state, err := codec.DecodeState(b)
	h := v.highest
	switch {
	case err != nil:
		v.problem("the log's state: %v", err)
	case h.Last > state.Last:
		v.damage(Damage{Time: moment(h.Last), Problem: "a version is newer than the newest time in the log's state"})
	case h.Object > state.Object, h.Resources > state.Resources, h.Namespaces > state.Namespaces, h.Kinds > state.Kinds:
		v.problem("the log's state would assign numbers twice")
	}
	return nil
}
