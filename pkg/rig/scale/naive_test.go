package scale_test

import (
	"fmt"

	badger "github.com/dgraph-io/badger/v4"

	"github.com/watchhistory/watchhistory/pkg/rig/sample"
)

// naive is the simplest layout of a log. It stores the whole JSON of each
// version, as the API server sent it, under three readable keys: by time, by
// resource and by object. Each version is a transaction, and Badger has its
// default options.
type naive struct {
	db       *badger.DB
	versions int
}

func openNaive(dir string, sync bool) (*naive, error) {
	db, err := badger.Open(badger.DefaultOptions(dir).WithLogger(nil).WithSyncWrites(sync))
	return &naive{db: db}, err
}

// append writes a version. Its number replaces the time and the object's name
// in the keys, at the same length.
func (n *naive) append(f sample.WatchEvent) error {
	n.versions++
	at := fmt.Sprintf("2026-01-02T15:04:05.%012dZ", n.versions)
	object := fmt.Sprintf("namespace-%d/name-%032d", n.versions%40, n.versions%1000)
	return n.db.Update(func(txn *badger.Txn) error {
		for _, key := range []string{
			"time/" + at + "/" + f.Resource.Plural + "/" + object,
			"resource/" + f.Resource.Plural + "/" + at + "/" + object,
			"object/" + f.Resource.Plural + "/" + object + "/" + at,
		} {
			if err := txn.Set([]byte(key), f.Object); err != nil {
				return err
			}
		}
		return nil
	})
}

// close flattens the tables, which frees all space that can be freed, and
// closes the database.
func (n *naive) close() error {
	if err := n.db.Flatten(2); err != nil {
		return err
	}
	return n.db.Close()
}
