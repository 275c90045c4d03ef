package api_test

import (
	"context"
	"iter"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/api"
	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
	"github.com/watchhistory/watchhistory/pkg/selector"
)

// filterReader is a log without records that stores the first filter, except
// for that of the newest record.
type filterReader struct{ filter *history.Filter }

func (f *filterReader) Scan(_ context.Context, scan history.Scan) iter.Seq2[*history.Record, error] {
	if newest := scan.Order == history.NewestFirst && scan.Limit == 1; f.filter == nil && !newest {
		f.filter = &scan.Filter
	}
	return func(func(*history.Record, error) bool) {}
}

func (f *filterReader) Count(context.Context, history.Filter, int) (int, bool, error) {
	return 0, true, nil
}

func (f *filterReader) Objects(context.Context, history.Scan, int) ([]*history.Record, bool, error) {
	return nil, true, nil
}

func (f *filterReader) MayMatch(_ context.Context, filters []history.Filter) ([]bool, error) {
	return make([]bool, len(filters)), nil
}

func (f *filterReader) State(context.Context, history.StateScan) iter.Seq2[*history.Record, error] {
	return func(func(*history.Record, error) bool) {}
}

func (f *filterReader) Compare(context.Context, history.CompareScan) iter.Seq2[history.Difference, error] {
	return func(func(history.Difference, error) bool) {}
}

func (f *filterReader) Resources(context.Context) ([]history.Resource, error) {
	return []history.Resource{{Version: "v1", Plural: "pods", Kind: "Pod", Namespaced: true}}, nil
}

func (f *filterReader) Gaps(context.Context, []schema.GroupResource, time.Time, time.Time) ([]history.Gap, error) {
	return nil, nil
}

// TestFilter_EveryFieldHasParameter fails if a field of history.Filter can't be
// set by a parameter and is not listed with a reason.
func TestFilter_EveryFieldHasParameter(t *testing.T) {
	const object = v1.EventsPath + "/shop/pods/web"
	at := time.Date(2100, 1, 2, 3, 4, 5, 0, time.UTC).Format(time.RFC3339)
	parameters := map[string]struct{ path, parameter, value string }{
		"Start":     {v1.EventsPath, v1.ParamStart, at},
		"End":       {v1.EventsPath, v1.ParamEnd, at},
		"Resources": {v1.EventsPath, v1.ParamResourceType, "pods"},
		"Namespace": {v1.EventsPath, v1.ParamNamespace, "shop"},
		"Name":      {v1.EventsPath, v1.ParamResourceName, "web"},
		"UID":       {v1.EventsPath, v1.ParamUID, "u"},
		"Verbs":     {v1.EventsPath, v1.ParamVerb, "create"},
		"Managers":  {v1.EventsPath, v1.ParamManager, "kubelet"},
		"Classes":   {v1.EventsPath, v1.ParamClass, v1.ClassRoot},
		"Revisions": {object, v1.ParamRevision, "3"},
	}
	without := map[string]string{
		"Regarding": "an object's path selects the Events regarding it",
		"Owner":     "the parameter descendants follows owners",
		"View":      "the caller's rights restrict every request",
	}
	for structField := range reflect.TypeFor[history.Filter]().Fields() {
		field := structField.Name
		p, found := parameters[field]
		if reason, excluded := without[field]; found == excluded {
			t.Errorf("history.Filter.%s: has a parameter: %t, excluded: %t (%s), want exactly one",
				field, found, excluded, reason)
		}
		if !found {
			continue
		}
		set := func(values url.Values) bool {
			reader := &filterReader{}
			handler := api.New(query.New(reader, query.Options{}), api.Options{})
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, p.path+"?"+values.Encode(), http.NoBody)
			handler.ServeHTTP(httptest.NewRecorder(), r)
			if reader.filter == nil {
				t.Fatalf("%s: got no scan, want one", field)
			}
			return !reflect.ValueOf(*reader.filter).FieldByName(field).IsZero()
		}
		if set(nil) || !set(url.Values{p.parameter: {p.value}}) {
			t.Errorf("history.Filter.%s: set without and with parameter %s: got %t, %t, want false, true",
				field, p.parameter, set(nil), set(url.Values{p.parameter: {p.value}}))
		}
	}
}

// TestSelector_EveryFieldHasParameter fails if a field of selector.Selector
// can't be set by a parameter, or if an invalid value does not name it.
func TestSelector_EveryFieldHasParameter(t *testing.T) {
	parameters := map[string]struct{ parameter, value string }{
		"Labels":     {v1.ParamLabelSelector, "app=web"},
		"Fields":     {v1.ParamFieldSelector, "status.phase=Failed"},
		"Reasons":    {v1.ParamReason, "BackOff"},
		"EventTypes": {v1.ParamType, "Warning"},
		"Writers":    {v1.ParamWriter, "nobody"},
		"Text":       {v1.ParamText, "nowhere"},
		"Expression": {v1.ParamQuery, "verb == 'delete'"},
	}
	for field := range reflect.TypeFor[selector.Selector]().Fields() {
		p, found := parameters[field.Name]
		if !found {
			t.Errorf("selector.Selector.%s: got no parameter, want one", field.Name)
			continue
		}
		s := newServer(t, api.Options{})
		sample(s)
		for _, path := range []string{v1.EventsPath, v1.EventsPath + "/shop/pods/web"} {
			_, _, all := s.get(path + "?empty=200")
			code, _, some := s.get(path + "?empty=200&" + url.Values{p.parameter: {p.value}}.Encode())
			eventsOnly := p.parameter == v1.ParamReason || p.parameter == v1.ParamType
			if code != http.StatusOK || (some == all) != (eventsOnly && path != v1.EventsPath) {
				t.Errorf("%s of %s: got %d and the same answer: %t, want another one",
					p.parameter, path, code, some == all)
			}
		}
	}
}

func TestCoreGroup_IsSameInQueryAndAPI(t *testing.T) {
	if query.CoreGroup != v1.CoreGroup {
		t.Errorf("core group: got %q in package query, want %q", query.CoreGroup, v1.CoreGroup)
	}
}
