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

// TestWhy_AllNamespaces has pods of the same name that crash in two namespaces.
func TestWhy_AllNamespaces(t *testing.T) {
	r := newRecording(t)
	for _, namespace := range []string{"other", "shop"} {
		r.write(5*time.Minute, &history.Record{
			Ref: ref("", "pods", namespace, "batch", "uid-"+namespace), Kind: "Pod", Verb: history.Create,
			Object: []byte(`{"status":{"phase":"Running","containerStatuses":[` +
				`{"name":"app","state":{"waiting":{"reason":"CrashLoopBackOff"}}}]}}`),
			Class: history.Onset, Summary: &history.Summary{Problem: "app: CrashLoopBackOff"},
		})
	}
	for _, tt := range []struct {
		args []string
		want []string
	}{
		{[]string{"why", "-A"}, []string{"\npod/batch in other  ", "\npod/batch in shop  "}},
		{[]string{"why", "-n", "other"}, []string{"\npod/batch  "}},
		{[]string{"why", "pod/batch", "-n", "other"}, []string{"\npod/batch  "}},
		{[]string{"why", "pod/batch", "-n", "other", "-o", "name"}, []string{"\npod/batch\n"}},
		{[]string{"why", "-n", "other", "-o", "name"}, []string{"\npod/batch\n"}},
	} {
		code, got, stderr := r.run(t, tt.args...)
		if code != 0 {
			t.Errorf("%q: got exit code %d and %s, want 0", tt.args, code, stderr)
		}
		for _, want := range tt.want {
			if !strings.Contains("\n"+got, want) {
				t.Errorf("%q: got %q, want %q in it", tt.args, got, want)
			}
		}
	}
}
