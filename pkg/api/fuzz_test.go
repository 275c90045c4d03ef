package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/api"
	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
)

// FuzzHandler sends arbitrary requests. No answer may be a server error, and an
// answer with the content type of JSON must be JSON.
func FuzzHandler(f *testing.F) {
	stopping := make(chan struct{})
	close(stopping) // streams end at once
	s := newServer(f, api.Options{MaxLimit: func() int { return 3 }, Stopping: stopping})
	story(s)
	for _, seed := range [][2]string{
		{"/api/v1/events", "limit=1&order=desc&cursor=OO8ob_zTbuA&summary=1&empty=200"},
		{
			"//api/v1/events",
			"start=2100-01-01T00:00:00Z&end=2100-02-01T00:00:00+02:00&verb=create&user=x&manager=m&uid=u",
		},
		{"/api/v1/events/shop/deploy/web", "descendants=true&revision=1,2&group=apps"},
		{"/api/v1/events/-/nodes/node-1", "cursor=OO8ob_zTbuA.&limit=1"},
		{"/api/v1/events/%2f/%/\xff", "start=0000-01-01T00:00:00Z&end=9999-12-31T23:59:59.999999999-23:59"},
		{"/api/v1/state", "at=2100-01-02T03:04:07Z&namespace=shop&strip=true&limit=1"},
		{"/api/v1/state", "at=2100-01-02T03:04:07Z&problem=true&limit=1"},
		{"/api/v1/state", "at=now&cursor=AAAAAAAAAAA47yhxJtlg4DjvKHEm2WDgAgAKY29uZmlnbWFwcwRzaG9wA3dlYgp1aWQtb2Ytd2Vi"},
		{"/api/v1/compare", "from=2100-01-02T03:04:06Z&to=2100-01-02T04:00:00Z&noise=true&resourceType=po"},
		{"/api/v1/relations/shop/pods/web", "at=2100-01-02T03:04:07Z&depth=3"},
		{"/api/v1/relations/-/nodes/%2f", "at=now&group=core"},
		{"/api/v1/resources", "%zz&;&="},
		{
			"/api/v1/events",
			"labelSelector=app+in+(web,db)&fieldSelector=status.phase!%3DRunning&reason=a,b&type=Warning",
		},
		{"/api/v1/events", "q=changed.exists(p,p.startsWith(%22spec%22))%26%26!(%22x%22+in+managers)&namespace=a," +
			"-&namespace=b&verb=create,x"},
		{
			"/api/v1/events/shop/pods/web",
			"q=old%3D%3Dnull%7C%7Cobject.spec[0]%3Eold.spec.x&manager=a&manager=b&verb=get",
		},
		{"/api/v1/events", "watch=true&cursor=OO8ob_zTbuA&namespace=shop&summary=1&q=verb%3D%3D%22create%22"},
		{"/api/v1/events", "watch=1&start=2100-01-01T00:00:00Z&verb=patch&order=asc"},
		{"/api/v1/events", "watch=true&limit=1&end=2100-01-01T00:00:00Z&order=desc&empty=200"},
		{"/api/v1/events", "watch=sideways"},
		{"", ""},
		{"*", "namespace=-&resourceType=,,.,&resourceName=\x00"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, path, rawQuery string) {
		if strings.Contains(path, "?") {
			return
		}
		one := &server{Handler: s.Handler, tb: t}
		code, header, body := one.get(path + "?" + rawQuery)
		if code >= http.StatusInternalServerError {
			t.Fatalf("%q %q: got %d %q, want no server error", path, rawQuery, code, body)
		}
		if header.Get("Content-Type") == "application/json" && !json.Valid([]byte(body)) {
			t.Fatalf("%q %q: got %q, want valid JSON", path, rawQuery, body)
		}
		if header.Get("Content-Type") == v1.StreamContentType {
			checkStream(t, path+"?"+rawQuery, body)
		}
		if code == http.StatusOK && strings.HasPrefix(body, "[") && header.Get("X-Total-Count") == "" {
			t.Fatalf("%q %q: got no total, want one", path, rawQuery)
		}
	})
}

// checkStream checks a stream that ended at once: each line is an item with a
// cursor, the first one is a start, and the last one an end.
func checkStream(t *testing.T, target, body string) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(body, "\n"), "\n")
	for i, line := range lines {
		var item v1.StreamItem
		if err := json.Unmarshal([]byte(line), &item); err != nil || item.Cursor == "" {
			t.Fatalf("%q: got line %q, error %v, want an item with a cursor", target, line, err)
		}
		if (i == 0) != (item.Type == v1.StreamStart) {
			t.Fatalf("%q: got line %d of type %s, want the first one to be %s", target, i, item.Type, v1.StreamStart)
		}
		if i == len(lines)-1 && item.Type != v1.StreamEnd {
			t.Fatalf("%q: got a last line of type %s, want %s", target, item.Type, v1.StreamEnd)
		}
	}
}
