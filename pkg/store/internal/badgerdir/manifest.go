package badgerdir

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"path/filepath"

	badger "github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/pb"
	"google.golang.org/protobuf/proto"

	"github.com/watchhistory/watchhistory/pkg/internal/durable"
)

// manifestVersion is the version of the manifest's format that
// [badger.ReplayManifestFile] reads.
const manifestVersion = 8

// writeManifest atomically replaces the manifest by one that names tables. The
// new one is synced when it returns.
func writeManifest(dir string, tables map[uint64]badger.TableManifest) error {
	var changes pb.ManifestChangeSet
	for id, t := range tables {
		changes.Changes = append(changes.Changes, &pb.ManifestChange{
			Id: id, Op: pb.ManifestChange_CREATE, Level: uint32(t.Level),
			KeyId: t.KeyID, Compression: uint32(t.Compression),
		})
	}
	payload, err := proto.Marshal(&changes)
	if err != nil {
		return fmt.Errorf("encode manifest: %w", err)
	}
	b := binary.BigEndian.AppendUint16([]byte("Bdgr\x00\x00"), manifestVersion)
	b = binary.BigEndian.AppendUint32(b, uint32(len(payload)))
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(payload, crc32.MakeTable(crc32.Castagnoli)))
	f, err := durable.Create(filepath.Join(dir, manifestFile))
	if err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	if _, err := f.Write(append(b, payload...)); err != nil {
		return errors.Join(fmt.Errorf("write manifest: %w", err), f.Discard())
	}
	return f.Commit()
}
