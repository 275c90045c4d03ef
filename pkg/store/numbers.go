package store

import (
	"math"

	badger "github.com/dgraph-io/badger/v4"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// counter returns the highest number that a dictionary has given out, and how high it may become.
func counter(state *codec.State, of key.Dictionary) (highest *uint32, limit uint32) {
	switch of {
	case key.Resources:
		return &state.Resources, math.MaxUint16
	case key.Kinds:
		return &state.Kinds, math.MaxUint16
	default:
		return &state.Namespaces, math.MaxUint32
	}
}

// numbers refuses a batch that names more new resources, kinds or namespaces than there are numbers left for. It looks them up only
// where few are. The caller holds commits.
func (s *Store) numbers(b *history.Batch) error {
	most := uint32(len(b.Records) + len(b.Checkpoints) + len(b.Gaps)) // of each dictionary
	for _, of := range []key.Dictionary{key.Resources, key.Kinds, key.Namespaces} {
		if highest, limit := counter(&s.state, of); limit-*highest < most {
			return s.numbered(named(b))
		}
	}
	return nil
}

// numbered refuses texts for which there are not enough numbers left.
func (s *Store) numbered(terms map[term]bool) error {
	missing := map[key.Dictionary]uint32{}
	return s.db.View(func(txn *badger.Txn) error {
		for t := range terms {
			n, err := s.terms.number(txn, t)
			if err != nil {
				return err
			}
			if n != 0 {
				continue
			}
			missing[t.of]++
			if highest, limit := counter(&s.state, t.of); missing[t.of] > limit-*highest {
				return noNumber(t.of, limit)
			}
		}
		return nil
	})
}

func noNumber(of key.Dictionary, limit uint32) error {
	what := map[key.Dictionary]string{key.Resources: "resources", key.Kinds: "kinds", key.Namespaces: "namespaces"}[of]
	return history.Errorf(history.Invalid,
		"the history knows %d %s and can tell no more apart: those that are new are not recorded; to record them, set storagePath (BADGER_PATH) to another directory",
		limit, what)
}

// named returns what a batch names that has to have a number.
func named(b *history.Batch) map[term]bool {
	terms := map[term]bool{}
	for _, r := range b.Records {
		terms[resourceTerm(r.Ref.GroupResource())] = true
		terms[term{key.Kinds, codec.Pair(r.Version, r.Kind)}] = true
		if r.Ref.Namespace != "" {
			terms[term{key.Namespaces, r.Ref.Namespace}] = true
		}
	}
	for _, c := range b.Checkpoints {
		terms[resourceTerm(schema.GroupResource{Group: c.Group, Resource: c.Resource})] = true
	}
	for _, g := range b.Gaps {
		terms[resourceTerm(g.GroupResource())] = true
	}
	return terms
}

func resourceTerm(r schema.GroupResource) term {
	return term{key.Resources, codec.Pair(r.Group, r.Resource)}
}
