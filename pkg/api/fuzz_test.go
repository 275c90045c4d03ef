package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/api"
)

// FuzzHandler sends arbitrary requests. No answer may be a server error, and an
// answer with the content type of JSON must be JSON.
func FuzzHandler(f *testing.F) {
	s := newServer(f, api.Options{MaxLimit: func() int { return 3 }})
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
		{"/api/v1/state", "at=now&cursor=AAAAAAAAAAA47yhxJtlg4DjvKHEm2WDgAgAKY29uZmlnbWFwcwRzaG9wA3dlYgp1aWQtb2Ytd2Vi"},
		{"/api/v1/compare", "from=2100-01-02T03:04:06Z&to=2100-01-02T04:00:00Z&noise=true&resourceType=po"},
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
		{"", ""},
		{"*", "namespace=-&resourceType=,,.,&resourceName=\x00"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, path, rawQuery string) {
		if strings.Contains(path, "?") {
			return
		}
		one := *s
		one.tb = t
		code, header, body := one.get(path + "?" + rawQuery)
		if code >= http.StatusInternalServerError {
			t.Fatalf("%q %q: got %d %q, want no server error", path, rawQuery, code, body)
		}
		if header.Get("Content-Type") == "application/json" && !json.Valid([]byte(body)) {
			t.Fatalf("%q %q: got %q, want valid JSON", path, rawQuery, body)
		}
		if code == http.StatusOK && strings.HasPrefix(body, "[") && header.Get("X-Total-Count") == "" {
			t.Fatalf("%q %q: got no total, want one", path, rawQuery)
		}
	})
}
