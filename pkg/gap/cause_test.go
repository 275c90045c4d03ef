package gap_test

import (
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/gap"
	"github.com/watchhistory/watchhistory/pkg/history"
)

func disconnected(detail string) gap.Cause {
	return gap.Cause{Reason: history.GapDisconnected, Detail: detail}
}

func serverError(detail string) gap.Cause {
	return gap.Cause{Reason: history.GapServerError, Detail: detail}
}

func ignored(detail string) gap.Cause {
	return gap.Cause{Reason: history.GapNotConfigured, Detail: detail}
}

func forbidden() gap.Cause { return gap.Cause{Reason: history.GapForbidden, Detail: "no rights"} }

func expired() gap.Cause { return gap.Cause{Reason: history.GapExpired, Detail: "too old"} }

func TestCauses_LatestWinsUnlessItIsLessSpecific(t *testing.T) {
	eof, noRoute := disconnected("EOF"), disconnected("no route")
	down, noRights := serverError("etcd is down"), forbidden()
	notConfigured, tooOld := ignored("it was ignored"), expired()
	for name, tt := range map[string]struct {
		added []gap.Cause
		want  gap.Cause
	}{
		"no cause":                       {nil, gap.Cause{}},
		"one cause":                      {[]gap.Cause{eof}, eof},
		"later cause of the same weight": {[]gap.Cause{eof, noRoute}, noRoute},
		"more specific cause":            {[]gap.Cause{eof, down}, down},
		"less specific cause":            {[]gap.Cause{down, eof}, down},
		"refusal before a server error":  {[]gap.Cause{noRights, down}, noRights},
		"two refusals":                   {[]gap.Cause{noRights, notConfigured}, notConfigured},
		"ignored before other causes":    {[]gap.Cause{notConfigured, noRoute, tooOld}, notConfigured},
		"expired after a cause":          {[]gap.Cause{down, tooOld}, down},
		"expired alone":                  {[]gap.Cause{tooOld}, gap.Cause{}},
		"zero cause after a cause":       {[]gap.Cause{eof, {}}, eof},
		"most specific of four":          {[]gap.Cause{eof, down, eof, tooOld}, down},
	} {
		t.Run(name, func(t *testing.T) {
			var causes gap.Causes
			for _, c := range tt.added {
				causes.Add(c)
			}
			if got := causes.Best(); got != tt.want {
				t.Errorf("best cause: got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestCauses_ResetForgetsAll(t *testing.T) {
	var causes gap.Causes
	causes.Add(forbidden())
	causes.Reset()
	if got := causes.Best(); !got.None() {
		t.Errorf("after a reset: got %+v, want no cause", got)
	}
	causes.Add(disconnected("EOF"))
	if got, want := causes.Best(), disconnected("EOF"); got != want {
		t.Errorf("after a reset and a less specific cause: got %+v, want %+v", got, want)
	}
}

func TestIgnored_ReturnsTheDetailOnce(t *testing.T) {
	pods, nodes := schema.GroupResource{Resource: "pods"}, schema.GroupResource{Resource: "nodes"}
	var all gap.Ignored
	if got := all.Take(pods); !got.None() {
		t.Errorf("before Add: got %+v, want no cause", got)
	}
	all.Add([]history.Gap{
		{Resource: "pods", Reason: history.GapNotConfigured, Detail: "the configuration ignores it"},
		{Resource: "nodes", Reason: history.GapForbidden, Detail: "no rights"},
	})
	all.Add(nil) // a resource stays until it is taken
	if got, want := all.Take(pods), ignored("the configuration ignores it"); got != want {
		t.Errorf("first Take: got %+v, want %+v", got, want)
	}
	if got := all.Take(pods); !got.None() {
		t.Errorf("second Take: got %+v, want no cause", got)
	}
	if got := all.Take(nodes); !got.None() {
		t.Errorf("gap with another reason: got %+v, want no cause", got)
	}
}
