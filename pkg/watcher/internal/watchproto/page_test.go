package watchproto_test

import (
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/watcher/internal/watchproto"
)

func readPage(s string) (watchproto.Page, []string, error) {
	var items []string
	p, err := watchproto.ReadPage(strings.NewReader(s), 1<<20, func(item []byte) error {
		items = append(items, string(item))
		return nil
	})
	return p, items, err
}

func TestReadPage_ReturnsItemsAndMetadata(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, body string
		want       watchproto.Page
		items      []string
	}{
		{
			"built-in type",
			`{"kind":"PodList","apiVersion":"v1",` +
				`"metadata":{"resourceVersion":"9","continue":"t","remainingItemCount":3},` +
				`"items":[{"metadata":{"name":"a","continue":"x"}},{"items":[1]}]}` + "\n",
			watchproto.Page{RV: "9", Continue: "t", Remaining: 3},
			[]string{`{"metadata":{"name":"a","continue":"x"}}`, `{"items":[1]}`},
		},
		{
			"custom resource, metadata last",
			`{"apiVersion":"v1","items":[{"kind":"A"}],"kind":"List","metadata":{"resourceVersion":"9"}}`,
			watchproto.Page{RV: "9"},
			[]string{`{"kind":"A"}`},
		},
		{"empty", `{"metadata":{"resourceVersion":"9"},"items":[]}`, watchproto.Page{RV: "9"}, nil},
		{"null", `{"metadata":{"resourceVersion":"9"},"items":null}`, watchproto.Page{RV: "9"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, items, err := readPage(c.body)
			if err != nil || got != c.want || !slices.Equal(items, c.items) {
				t.Errorf("got %+v with %q and %v, want %+v with %q", got, items, err, c.want, c.items)
			}
		})
	}
}

func TestReadPage_RejectsIncompleteAndOtherObjects(t *testing.T) {
	t.Parallel()
	const whole = `{"metadata":{"resourceVersion":"9"},"items":[{"a":1},{"b":2}]}`
	for n := range whole {
		if _, _, err := readPage(whole[:n]); err == nil {
			t.Errorf("%q: got a page, want an error", whole[:n])
		}
	}
	for _, body := range []string{
		`[]`, `null`, `{"items":[]}`, `{"items":{}}`, `{"metadata":1}`,
		`{"metadata":{"resourceVersion":"9"},"rows":[]}`,
	} {
		if _, _, err := readPage(body); err == nil {
			t.Errorf("%q: got a page, want an error", body)
		}
	}
}

func TestReadPage_ReturnsTheErrorOfEach(t *testing.T) {
	t.Parallel()
	full, calls := errors.New("full"), 0
	_, err := watchproto.ReadPage(strings.NewReader(`{"items":[{},{}]}`), 1<<20,
		func([]byte) error { calls++; return full })
	if !errors.Is(err, full) || calls != 1 {
		t.Errorf("got %d calls and %v, want one and %v", calls, err, full)
	}
}

// endless repeats a text without an end, and counts the bytes that are read.
type endless struct {
	text string
	read int
}

func (e *endless) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		n += copy(p[n:], e.text)
	}
	e.read += n
	return n, nil
}

func TestReadPage_BoundsEachValue(t *testing.T) {
	t.Parallel()
	const limit = 1 << 20
	for _, begin := range []string{`{"items":[{"a":"`, `{"x":"`, `{"items":[`, `{"metadata":{"continue":"`, `{`} {
		r := &endless{text: "          "}
		_, err := watchproto.ReadPage(io.MultiReader(strings.NewReader(begin), r), limit, func([]byte) error {
			return nil
		})
		if err == nil || !strings.Contains(err.Error(), "longer than 1 MiB") || r.read > 4*limit {
			t.Errorf("%s without an end: got %d bytes read and %v, want at most %d and an error",
				begin, r.read, err, 4*limit)
		}
	}
	items := strings.Repeat(`{"a":"`+strings.Repeat("x", limit/2)+`"},`, 10)
	n := 0
	_, err := watchproto.ReadPage(strings.NewReader(`{"metadata":{"resourceVersion":"1"},"items":[`+items+`{}]}`),
		limit, func([]byte) error { n++; return nil })
	if err != nil || n != 11 {
		t.Errorf("page that is longer than the limit: got %d items and %v, want 11", n, err)
	}
}

func TestComplete_AddsKindAndAPIVersion(t *testing.T) {
	t.Parallel()
	for item, want := range map[string]string{
		`{"metadata":{}}`:       `{"kind":"Pod","apiVersion":"v1","metadata":{}}`,
		` { "metadata":{} } `:   `{"kind":"Pod","apiVersion":"v1", "metadata":{} }`,
		`{}`:                    `{"kind":"Pod","apiVersion":"v1"}`,
		`{"a":1,"kind":"Else"}`: `{"a":1,"kind":"Else"}`,
	} {
		got, err := watchproto.Complete([]byte(item), "v1", "Pod")
		if err != nil || string(got) != want || !json.Valid(got) {
			t.Errorf("%s: got %s and %v, want %s", item, got, err, want)
		}
	}
	for _, item := range []string{`null`, `[]`, `{`, `1`} {
		if got, err := watchproto.Complete([]byte(item), "v1", "Pod"); err == nil {
			t.Errorf("%s: got %s, want an error", item, got)
		}
	}
}
