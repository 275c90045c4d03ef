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

// objects compares what there is once an object: its head, its identity and its name.
type objects struct{ heads, names pairing }

// once looks at a key that belongs to no version.
func (v *verifier) once(k, value []byte) error {
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
		_, _, err := codec.DecodeCheckpoint(value)
		return errors.Join(err, v.resource(binary.BigEndian.Uint16(append(k[1:3:3], 0, 0))))
	case key.Ledger()[0]:
		n, _, err := key.DecodeGap(k)
		if err != nil {
			return err
		}
		_, err = codec.DecodeGap(value)
		return errors.Join(err, v.resource(n))
	case key.Catalogue()[0]:
		return json.Unmarshal(value, &history.Resource{})
	case key.StandingOf(0)[0]:
		return v.standing(k, value)
	case key.Format()[0]:
		return nil // what can't be read of these keeps the log from opening
	default:
		return errors.New("nothing writes it")
	}
}

// head looks at an object's head. That of an object that is alive names the object's newest version.
func (v *verifier) head(k, value []byte) error {
	h, err := codec.DecodeHead(value)
	if err != nil {
		return err
	}
	v.highest.Object = max(v.highest.Object, h.Object)
	v.objects.heads.got.add(headOf(k, h.Object, h.Relations))
	if h.Last.TS == 0 {
		return nil // written before heads knew their newest version
	}
	e := key.Entry{Object: h.Object, TS: h.Last.TS}
	if h.Last.TS < key.Start(v.r.floor) {
		return v.stands(e, h)
	}
	meta, err := get(v.r.txn, e.In(key.Record))
	switch {
	case v.r.lost(key.Day(e.TS)): // meanwhile
		return nil
	case errors.Is(err, badger.ErrKeyNotFound):
		v.version(e, "its newest version, revision %d, is missing", h.Revision)
		return nil
	case err != nil:
		return err
	}
	v.newest(e, h, meta)
	return nil
}

// stands checks that the newest version of an object that is alive was carried on when its day was dropped.
func (v *verifier) stands(e key.Entry, h codec.Head) error {
	if !h.Alive {
		return nil
	}
	of, ok, err := v.r.carried(h.Object)
	if err != nil {
		return err
	}
	if !ok || of.TS != h.Last.TS {
		v.version(e, "its newest version, revision %d, is missing, and its day is dropped", h.Revision)
	}
	return nil
}

// standing looks at a key of a version that was carried on.
func (v *verifier) standing(k, value []byte) error {
	if _, _, err := key.DecodeStandingOwned(k); err == nil {
		v.standingOwned.got.add(k)
		return nil
	}
	object, ts, err := key.DecodeStanding(k)
	if err != nil { // a part of a body, which is read with its metadata
		v.standingParts++
		return nil //nolint:nilerr // endOfLog counts them
	}
	e := key.Entry{Object: object, TS: ts}
	rec, m, err := v.r.record(e, value)
	if err == nil {
		v.standingParts -= int64(m.Parts)
		for k := range standingOwned(rec, object, ts) {
			v.standingOwned.want.add(k)
		}
		_, err = v.r.carriedBody(e, m.Parts)
	}
	if err != nil {
		v.version(e, "it stands, and %v", err)
	}
	return nil
}

// newest compares the newest version of an object with the object's head.
func (v *verifier) newest(e key.Entry, h codec.Head, meta []byte) {
	var rec history.Record
	m, err := codec.DecodeMeta(meta, e.TS, &rec, func(n uint16) (string, error) { return v.r.phrase(key.Day(e.TS), n) })
	switch {
	case err != nil: // reported where the version is met
	case rec.Revision != h.Revision, rec.RV != h.RV:
		v.version(e, "its head says revision %d at %s, and the version is revision %d at %s", h.Revision, h.RV, rec.Revision, rec.RV)
	case m.Parts != h.Last.Parts, h.Last.Chain > maxChain:
		v.version(e, "its head has another JSON in mind")
	}
}

// headOf is what a head and an identity have in common.
func headOf(k []byte, object, relations uint64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(slices.Clip(k), object), relations)
}

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

// term looks at one of the two keys of a dictionary's entry.
func (v *verifier) term(k, value []byte) error {
	if len(k) < 3 {
		return key.ErrMalformed
	}
	of, number, text := key.Dictionary(k[1]), value, k[3:]
	side := &v.terms.got
	if k[2] == 'n' {
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
		return fmt.Errorf("%w: no dictionary", codec.ErrCorrupt)
	}
	return nil
}

func (v *verifier) resource(n uint16) error {
	_, err := v.s.terms.text(v.r.txn, index{key.Resources, uint32(n)})
	return err
}

// endOfLog compares what there is once an object and once a log.
func (v *verifier) endOfLog() error {
	for what, p := range map[string]pairing{
		"heads": v.objects.heads, "names": v.objects.names, "numbers": v.terms, "owners of standing versions": v.standingOwned,
	} {
		if p.want != p.got {
			v.problem("%s do not fit: %d where there have to be %d, or others", what, p.got.n, p.want.n)
		}
	}
	if v.standingParts > 0 {
		v.problem("%d parts of standing versions belong to none", v.standingParts)
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
		v.damage(Damage{Time: moment(h.Last), Problem: "a version is newer than the log's state says that the newest is"})
	case h.Object > state.Object, h.Resources > state.Resources, h.Namespaces > state.Namespaces, h.Kinds > state.Kinds:
		v.problem("the log's state gives numbers again that are given already")
	}
	return nil
}
