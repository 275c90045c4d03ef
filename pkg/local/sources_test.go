package local_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/local"
)

// questions are queries about the time until end. They name the end, because
// the present of a file is another one.
func questions(end time.Time) []string {
	at := url.QueryEscape(end.Format(time.RFC3339Nano))
	between := func(end time.Time) string {
		return "empty=200&limit=1000&end=" + url.QueryEscape(end.Format(time.RFC3339Nano))
	}
	var all []string
	for _, query := range []string{
		"", "&namespace=shop", "&namespace=other&resourceType=deployments,pods", "&class=root", "&class=onset",
		"&q=" + url.QueryEscape(`created && object.kind == "Pod"`), "&order=desc&namespace=shop&summary=true",
		"&fold=true", "&fold=true&namespace=shop&order=desc", "&fold=true&namespace=other&consequences=5",
		"&outcome=true&resourceType=deployments", "&verb=delete", "&writer=kcm", "&type=Warning",
	} {
		all = append(all, v1.EventsPath+"?"+between(end)+query)
	}
	deployment := "/shop/deployments.apps/" + deploymentName(0)
	early := url.QueryEscape(end.Add(-24 * time.Hour).Format(time.RFC3339Nano))
	return append(all,
		v1.EventsPath+deployment+"?"+between(end)+"&descendants=true",
		v1.EventsPath+"/shop/pods/missing?"+between(end),
		v1.StatePath+"?at="+at, v1.StatePath+"?namespace=shop&strip=true&at="+at,
		v1.StatePath+"?problem=true&at="+at,
		v1.ComparePath+"?count=true&noise=true&from="+url.QueryEscape(end.Add(-time.Second).Format(time.RFC3339Nano))+
			"&to="+at,
		v1.RelationsPath+deployment+"?depth=3&at="+at, v1.WhyPath+deployment+"?at="+at,
		v1.GapsPath+"?end="+at, v1.CataloguePath+"?at="+at,
		v1.EventsPath+"?q=nonsense(", v1.StatePath+"?at="+early,
	)
}

// answers returns the answers to the questions, by these. Headers that depend
// on the moment are left out.
func answers(t *testing.T, source http.RoundTripper, end time.Time) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, q := range questions(end) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost"+q, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := source.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		for _, name := range []string{
			"Date", "Server-Timing", "X-Request-Id", "Etag", "Last-Modified", "Cache-Control", "Content-Length",
		} {
			answer.Header.Del(name)
		}
		all[q] = fmt.Sprintf("%d %v\n%s", answer.StatusCode, answer.Header, body)
	}
	return all
}

// within answers requests by a handler.
type within struct{ http.Handler }

// RoundTrip implements [http.RoundTripper].
func (w within) RoundTrip(r *http.Request) (*http.Response, error) {
	answer := httptest.NewRecorder()
	w.ServeHTTP(answer, r)
	return answer.Result(), nil
}

// ask opens a file, and returns its answers.
func ask(t *testing.T, name string, end time.Time) map[string]string {
	t.Helper()
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	history, err := local.Open(t.Context(), file, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer history.Close()
	return answers(t, history, end)
}

// testSources asks the recorder in this process, the file of a recording that
// was interrupted, and that of a complete one. The answers about a time that
// all of them contain are the same.
func (l *lab) testSources(t *testing.T) {
	r := l.record(t, l.Config(), local.RecordOptions{})
	for range 3 {
		l.change(t, "shop", *deployments)
		l.change(t, "other", 2)
	}
	l.ready(t, "shop", *deployments)
	if err := r.CaughtUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	end := time.Now()
	live := answers(t, within{r.Handler()}, end)
	copied := filepath.Join(t.TempDir(), "copy")
	eventually(t, "the journal contains the end", func() (bool, string) {
		b, err := os.ReadFile(r.File())
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(copied, b, 0o600); err != nil {
			t.Fatal(err)
		}
		until := open(t, copied).Header().End
		return until.After(end), until.String()
	})
	journal := ask(t, copied, end)
	if _, err := r.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	export := ask(t, r.File(), end)
	for _, q := range questions(end) {
		if diff := cmp.Diff(live[q], export[q]); diff != "" {
			t.Errorf("%s: the export has another answer than the recorder (-want +got):\n%s", q, diff)
		}
		if diff := cmp.Diff(export[q], journal[q]); diff != "" {
			t.Errorf("%s: the journal has another answer than the export (-want +got):\n%s", q, diff)
		}
	}
	if n := len(live); n < 20 {
		t.Errorf("got %d answers, want at least 20", n)
	}
}
