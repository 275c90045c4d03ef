package daemon_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/daemon"
)

// gadgets returns a CRD whose objects have some fields, each with a column.
func gadgets(fields ...string) string {
	var properties, columns []string
	for _, f := range fields {
		properties = append(properties, f+": {type: string}")
		columns = append(columns, fmt.Sprintf("{name: %s, type: string, jsonPath: .spec.%s}", f, f))
	}
	return fmt.Sprintf(`
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gadgets.served.example.com}
spec:
  group: served.example.com
  scope: Namespaced
  names: {plural: gadgets, singular: gadget, kind: Gadget, shortNames: [gd], categories: [served]}
  versions:
  - name: v1
    served: true
    storage: true
    additionalPrinterColumns: [%s]
    schema:
      openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {%s}}}}
`, strings.Join(columns, ", "), strings.Join(properties, ", "))
}

const (
	gadgetResources = "apis/served.example.com/v1"
	gadgetSchema    = "openapi/v3/apis/served.example.com/v1"
)

// client returns a client of the listener without TLS.
func (r *running) client(t *testing.T) *client.Client {
	t.Helper()
	c, err := client.New(r.url, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// catalogueAndMaps records ConfigMaps and the catalogue.
func catalogueAndMaps(c *daemon.Config) {
	onlyConfigMaps(c)
	c.RecordCatalogue = true
}

// document returns the versions of a document as their verbs, and the last one.
func (r *running) document(t *testing.T, name string) (verbs string, last v1.DocumentVersion) {
	t.Helper()
	found, _, err := r.client(t).DocumentHistory(t.Context(), client.DocumentHistoryQuery{Name: name})
	if err != nil {
		return err.Error(), last
	}
	var list []string
	for _, v := range found.Versions {
		list, last = append(list, v.Verb), v
	}
	return strings.Join(list, " "), last
}

// awaitDocument waits until a document has versions with these verbs, and
// returns the last one.
func (r *running) awaitDocument(t *testing.T, name, verbs string) (last v1.DocumentVersion) {
	t.Helper()
	r.eventually(t, name+" has "+verbs, func() (bool, string) {
		got, version := r.document(t, name)
		last = version
		return got == verbs, got
	})
	return last
}

// TestCatalogue_HasHistoryOfCRD creates a CRD, adds a column to it and deletes
// it, with a configuration that records only ConfigMaps.
func TestCatalogue_HasHistoryOfCRD(t *testing.T) {
	noLeaks(t)
	dir, before := t.TempDir(), time.Now()
	r := start(t, dir, cluster.Config(), catalogueAndMaps)
	r.reaches(t, "customresourcedefinitions", "watching")
	r.awaitDocument(t, "openapi/v3/apis/apps/v1", "create")
	r.eventually(t, "the first read is complete", func() (bool, string) {
		c, err := r.client(t).Catalogue(t.Context(), time.Time{})
		return err == nil && !c.Read.IsZero(), fmt.Sprint(err)
	})

	apply(t, gadgets("size"))
	t.Cleanup(func() {
		_, _ = cluster.Kubectl(context.WithoutCancel(t.Context()), "delete", "crd", "gadgets.served.example.com",
			"--ignore-not-found")
	})
	r.awaitDocument(t, gadgetResources, "create")
	first := r.awaitDocument(t, gadgetSchema, "create")
	if first.Inferred == nil || first.Inferred.Start.Before(before) || !first.Inferred.End.Equal(first.Timestamp) {
		t.Errorf("schema of the new CRD: got %+v, want an interval that ends with its record", first)
	}
	created := time.Now()
	apply(t, gadgets("size", "color"))
	r.awaitDocument(t, gadgetSchema, "create update")
	changed := time.Now()
	kubectl(t, "delete", "crd", "gadgets.served.example.com")
	r.awaitDocument(t, gadgetSchema, "create update delete")
	deleted := r.awaitDocument(t, gadgetResources, "create delete")
	if deleted.Hash != "" || deleted.Inferred == nil || deleted.Inferred.Start.Before(created) {
		t.Errorf("deletion of the resources: got %+v, want an interval without a hash", deleted)
	}

	c := r.client(t)
	for _, tt := range []struct {
		at     time.Time
		fields []string // of the schema; nil: not served
	}{{created, []string{"size"}}, {changed, []string{"size", "color"}}, {time.Now(), nil}} {
		content, err := c.Document(t.Context(), client.DocumentQuery{Name: gadgetSchema, At: tt.at})
		if (err == nil) != (tt.fields != nil) || strings.Contains(string(content), `"color"`) != (len(tt.fields) > 1) {
			t.Errorf("schema at %s: got error %v and %s, want the fields %q", tt.at, err, content, tt.fields)
		}
		catalogue, err := c.Catalogue(t.Context(), tt.at)
		if err != nil {
			t.Fatal(err)
		}
		served := slices.ContainsFunc(catalogue.Documents, func(d v1.Document) bool {
			return d.Name == gadgetResources
		})
		if served != (tt.fields != nil) {
			t.Errorf("at %s: got the resources of the CRD: %t, want %t", tt.at, served, tt.fields != nil)
		}
		var version struct{ GitVersion string }
		err = json.Unmarshal(catalogue.Version, &version)
		if err != nil || !strings.HasPrefix(version.GitVersion, "v1.") {
			t.Errorf("version: got %s, want that of the API server", catalogue.Version)
		}
	}
	var list struct {
		Resources []struct {
			Name, Kind                    string
			Verbs, ShortNames, Categories []string
		}
	}
	content, err := c.Document(t.Context(), client.DocumentQuery{Name: gadgetResources, At: changed})
	if err == nil {
		err = json.Unmarshal(content, &list)
	}
	if err != nil || len(list.Resources) != 1 || list.Resources[0].Kind != "Gadget" ||
		!slices.Contains(list.Resources[0].Verbs, "watch") ||
		!slices.Equal(list.Resources[0].ShortNames, []string{"gd"}) ||
		!slices.Equal(list.Resources[0].Categories, []string{"served"}) {
		t.Errorf("resources of the CRD: got %s, error %v, want gadgets with verbs, short names and categories",
			content, err)
	}
	// The columns are in the CRD, which is an object.
	r.eventually(t, "the CRD has its history", func() (bool, string) {
		events := r.events(t, "resourceType=crd&resourceName=gadgets.served.example.com")
		n := slices.IndexFunc(events, func(e v1.Event) bool {
			return strings.Contains(string(e.ObjectChanges), ".spec.color")
		})
		return n > 0 && events[len(events)-1].Verb == "delete", verbs(events)
	})
	if got, _ := r.document(t, "openapi/v3/apis/apps/v1"); got != "create" {
		t.Errorf("schema of another group: got %s, want one version", got)
	}
	r.hidesDocuments(t)

	// Nothing changed while the recorder was stopped.
	counts := r.versionsOfDocuments(t)
	read, err := c.Catalogue(t.Context(), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	r.stop(t)
	again := start(t, dir, cluster.Config(), catalogueAndMaps)
	again.eventually(t, "a read after the restart", func() (bool, string) {
		now, err := again.client(t).Catalogue(t.Context(), time.Time{})
		return err == nil && now.Read.After(read.Read), fmt.Sprint(err)
	})
	if got := again.versionsOfDocuments(t); got != counts {
		t.Errorf("versions after a restart: got %s, want %s", got, counts)
	}
	found, _, err := again.client(t).DocumentHistory(t.Context(), client.DocumentHistoryQuery{Name: "version"})
	if err != nil || len(found.Gaps) != 1 || found.Gaps[0].Reason != "restarted" || found.Gaps[0].Start.Before(before) {
		t.Errorf("gaps after a restart: got %+v, error %v, want one", found, err)
	}
	again.metric(t, `watchhistory_catalogue_documents_unread 0`)
	again.hidesDocuments(t)
}

// versionsOfDocuments returns the number of versions of each document.
func (r *running) versionsOfDocuments(t *testing.T) string {
	t.Helper()
	catalogue, err := r.client(t).Catalogue(t.Context(), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	var counts strings.Builder
	for _, d := range catalogue.Documents {
		verbs, _ := r.document(t, d.Name)
		fmt.Fprintf(&counts, "%s: %s\n", d.Name, verbs)
	}
	return counts.String()
}

// hidesDocuments checks that no other answer contains documents.
func (r *running) hidesDocuments(t *testing.T) {
	t.Helper()
	events := r.events(t, "")
	if n := r.header(t, v1.EventsPath+"?limit=1", v1.TotalCountHeader); n != fmt.Sprint(len(events)) {
		t.Errorf("%s: got %s, want %d, the number of events", v1.TotalCountHeader, n, len(events))
	}
	for _, path := range []string{
		v1.EventsPath + "?limit=1000", v1.EventsPath + "?namespace=-", v1.EventsPath + "?empty=200&group=_catalogue",
		v1.EventsPath + "?empty=200&resourceType=documents", v1.EventsPath + "?empty=200&resourceName=version",
		v1.EventsPath + "?empty=200&uid=version", v1.StatePath, v1.ResourcesPath, v1.GapsPath,
		v1.RelationsRoot + "/-/documents/version",
		v1.ComparePath + "?from=" + url.QueryEscape(time.Now().Format(time.RFC3339Nano)), v1.MetricsPath, v1.ReadyzPath,
	} {
		_, body := r.get(t, path)
		for _, hidden := range []string{`"_catalogue`, `"documents"`, `"unread"`, `"openapi/v3`} {
			if strings.Contains(body, hidden) {
				t.Errorf("%s: got an answer with %s, want none", path, hidden)
			}
		}
	}
}

// forbidding is a transport that denies requests below a path while it is on.
type forbidding struct {
	http.RoundTripper

	path string
	on   atomic.Bool
}

func (f *forbidding) RoundTrip(r *http.Request) (*http.Response, error) {
	if !f.on.Load() || !strings.HasPrefix(r.URL.Path, f.path) {
		return f.RoundTripper.RoundTrip(r)
	}
	body := `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"forbidden",` +
		`"reason":"Forbidden","code":403}`
	return &http.Response{
		StatusCode: http.StatusForbidden, Proto: r.Proto, Request: r,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)),
	}, nil
}

// TestCatalogue_RecordsWithoutSchemas denies the schemas.
func TestCatalogue_RecordsWithoutSchemas(t *testing.T) {
	noLeaks(t)
	cfg, deny := cluster.Config(), &forbidding{path: "/openapi/v3"}
	deny.on.Store(true)
	cfg.Wrap(func(rt http.RoundTripper) http.RoundTripper { deny.RoundTripper = rt; return deny })
	r := start(t, t.TempDir(), cfg, catalogueAndMaps)
	r.eventually(t, "the schemas are unread", func() (bool, string) {
		c, err := r.client(t).Catalogue(t.Context(), time.Time{})
		if err != nil {
			return false, err.Error()
		}
		return len(c.Unread) == 1 && c.Unread[0].Name == "openapi/v3" && c.Unread[0].Reason == "forbidden" &&
			len(c.Documents) > 10, fmt.Sprintf("%+v", c.Unread)
	})
	if n := r.log.Count("can't be read", "/openapi/v3"); n != 1 {
		t.Errorf("lines in the log: got %d, want 1", n)
	}
	if got, _ := r.document(t, "apis/apps/v1"); got != "create" {
		t.Errorf("resources of apps: got %s, want one version", got)
	}
}

// TestCatalogue_IsOffIfConfigured turns the catalogue off at run time.
func TestCatalogue_IsOffIfConfigured(t *testing.T) {
	noLeaks(t)
	v := newVolume(t, only("ConfigMap")+"recordCatalogue: false\n")
	r := following(t, t.TempDir(), v, cluster.Config())
	r.reaches(t, "customresourcedefinitions", "not_configured")
	if status, body := r.get(t, v1.CataloguePath); status != http.StatusNotFound {
		t.Errorf("catalogue: got %d %s, want 404", status, body)
	}
	r.reload(t, v, only("ConfigMap"))
	r.reaches(t, "customresourcedefinitions", "watching")
	r.awaitDocument(t, "version", "create")
	r.reload(t, v, only("ConfigMap")+"ignore: [{resource: customresourcedefinitions.apiextensions.k8s.io}]\n")
	r.reaches(t, "customresourcedefinitions", "ignored")
}

// TestCatalogue_TakesLittleSpace measures the tables of a database with the
// documents, and what a new and a changed CRD add.
func TestCatalogue_TakesLittleSpace(t *testing.T) {
	noLeaks(t)
	none, dir := t.TempDir(), t.TempDir()
	start(t, none, cluster.Config(), onlyConfigMaps).stop(t)
	r := start(t, dir, cluster.Config(), catalogueAndMaps)
	var n, largest, schemas, others int // documents, and the bytes of their JSON
	r.eventually(t, "the first read is complete", func() (bool, string) {
		c, err := r.client(t).Catalogue(t.Context(), time.Time{})
		if err != nil || c.Read.IsZero() {
			return false, fmt.Sprint(err)
		}
		for n = range c.Documents {
			d := c.Documents[n]
			if largest = max(largest, d.Size); strings.HasPrefix(d.Name, "openapi") {
				schemas += d.Size
			} else {
				others += d.Size
			}
		}
		return true, ""
	})
	r.stop(t)
	sizes := []int64{tableBytes(t, none), tableBytes(t, dir)}
	for i, crd := range []string{gadgets("size"), gadgets("size", "color")} {
		r = start(t, dir, cluster.Config(), catalogueAndMaps)
		apply(t, crd)
		r.awaitDocument(t, gadgetSchema, []string{"create", "create update"}[i])
		r.stop(t)
		sizes = append(sizes, tableBytes(t, dir))
	}
	kubectl(t, "delete", "crd", "gadgets.served.example.com")
	all, created, changed := sizes[1]-sizes[0], sizes[2]-sizes[1], sizes[3]-sizes[2]
	t.Logf("%d documents: %d bytes of schemas (the largest %d) and %d of others, %d on disk",
		n+1, schemas, largest, others, all)
	t.Logf("on disk: %d for a new CRD, %d for a change", created, changed)
	if schemas < 1<<20 || all > 4<<20 || max(created, changed) > 256<<10 {
		t.Errorf("got %d bytes of schemas in %d bytes, want at least 1 MiB in at most 4 MiB; "+
			"%d for a new CRD and %d for a change, want at most 256 KiB", schemas, all, created, changed)
	}
}

// tableBytes returns the size of the tables of a database that is closed.
func tableBytes(t *testing.T, dir string) (size int64) {
	t.Helper()
	tables, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		info, err := os.Stat(table)
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	return size
}
