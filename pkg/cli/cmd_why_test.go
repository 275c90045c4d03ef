package cli_test

import (
	"strings"
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// TestHints_NameTheNamespace checks the commands in hints about an object that
// was deleted: they have the namespace, which is that of a flag.
func TestHints_NameTheNamespace(t *testing.T) {
	r := newRecording(t)
	for _, verb := range []history.Verb{history.Create, history.Delete} {
		r.write(time.Hour, &history.Record{
			Ref: ref("", "configmaps", "shop", "flags", "uid-flags"), Kind: "ConfigMap", Verb: verb,
			Object: []byte(`{"metadata":{"name":"flags","namespace":"shop"}}`),
		})
	}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{
			[]string{"why", "cm/flags"},
			" why configmaps/flags#-2 -n shop' shows what was wrong with it before.",
		},
		{
			[]string{"show", "cm/flags@9d"},
			" history configmaps/flags -n shop' lists its versions.",
		},
	} {
		code, _, stderr := r.run(t, tt.args...)
		if code != 1 || !strings.Contains(stderr, tt.want) {
			t.Errorf("%q: got exit code %d and %s, want 1 and %s", tt.args, code, stderr, tt.want)
		}
	}
}
