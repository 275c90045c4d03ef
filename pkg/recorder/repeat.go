package recorder

import (
	"context"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// repeated reports whether a version that a watch brings was recorded before.
// Watches repeat versions if a server that lags behind takes over, or ignores
// the resourceVersion to go on from. A sync may lead back in time: etcd may
// have been restored from a backup.
//
// A resourceVersion that is not newer than the checkpoint's proves nothing by
// itself, since some servers count them for each object. So heads and the log
// decide.
func (s *Stream) repeated(ctx context.Context, v *version, frame history.WatchEventType) (bool, error) {
	if s.listing || frame == history.Deleted || v.rv != s.rv && !history.Older(v.rv, s.rv) {
		return false, nil
	}
	key := objectKey{v.namespace, v.name}
	if h, known := s.heads[key]; known && h.uid == string(v.uid) {
		return v.rv == h.rv || history.Older(v.rv, h.rv), nil
	}
	_, err := s.latest(ctx, key, head{uid: string(v.uid)})
	if history.CodeOf(err) == history.NotFound {
		return false, nil
	}
	return err == nil, err
}
