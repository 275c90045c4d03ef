package client

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// EventsQuery asks for records across objects. Every field narrows or shapes; the zero value asks for everything, oldest
// first.
type EventsQuery struct {
	Start time.Time // inclusive; zero: from the beginning
	End   time.Time // zero: until now

	Namespace string   // [history.NoNamespace]: cluster-scoped objects only; empty: all
	Resources []string // any of these, in every form that kubectl takes: "deploy", "deployments.apps", "Deployment"
	Group     string   // the API group, where Resources leave it open
	Name      string
	UID       string
	Verb      history.Verb // zero: any
	Manager   string       // the field manager that wrote the version

	Order   history.Order
	Limit   int    // records on a page; 0, and more than the recorder's maximum: its maximum
	Cursor  string // [Page.Next] of the page before
	Summary bool   // without bodies: the events have no ObjectChanges
}

func (q *EventsQuery) values() url.Values {
	v := window(q.Start, q.End, q.Order, q.Limit, q.Cursor, q.Summary)
	text(v, "namespace", q.Namespace)
	text(v, "resourceType", strings.Join(q.Resources, ","))
	text(v, "group", q.Group)
	text(v, "resourceName", q.Name)
	text(v, "uid", q.UID)
	text(v, "manager", q.Manager)
	if q.Verb != 0 {
		v.Set("verb", q.Verb.String())
	}
	return v
}

// ObjectQuery asks for the history of one name. Resource and Name are required.
type ObjectQuery struct {
	Namespace string // empty for cluster-scoped objects
	Resource  string // in every form that kubectl takes
	Group     string // the API group, where Resource leaves it open
	Name      string
	UID       string // one incarnation only

	Start       time.Time // inclusive; zero: from the beginning
	End         time.Time // zero: until now
	Revisions   []uint64  // these versions only
	Descendants bool      // related Events also of everything that the object owned, and that those owned

	Order   history.Order
	Limit   int    // records on a page; 0, and more than the recorder's maximum: its maximum
	Cursor  string // [Page.Next] of the page before
	Summary bool   // without bodies
}

func (q *ObjectQuery) validate() error {
	switch {
	case q.Resource == "" || q.Name == "":
		return history.Errorf(history.Invalid, "an object's history needs its type and its name")
	case strings.ContainsAny(q.Resource+q.Namespace+q.Name, "/"):
		return history.Errorf(history.Invalid, "%q is no object: neither a type nor a name has a slash",
			q.Resource+" "+q.Name)
	default:
		return nil
	}
}

// path returns the segments below the events path.
func (q *ObjectQuery) path() []string {
	namespace := q.Namespace
	if namespace == "" {
		namespace = history.NoNamespace
	}
	return []string{namespace, q.Resource, q.Name}
}

func (q *ObjectQuery) values() url.Values {
	v := window(q.Start, q.End, q.Order, q.Limit, q.Cursor, q.Summary)
	text(v, "group", q.Group)
	text(v, "uid", q.UID)
	flag(v, "descendants", q.Descendants)
	revisions := make([]string, len(q.Revisions))
	for i, n := range q.Revisions {
		revisions[i] = strconv.FormatUint(n, 10)
	}
	text(v, "revision", strings.Join(revisions, ","))
	return v
}

// window sets what both queries share. empty=200 makes "nothing recorded" an answer instead of a 404.
func window(start, end time.Time, order history.Order, limit int, cursor string, summary bool) url.Values {
	v := url.Values{"empty": {"200"}}
	moment(v, "start", start)
	moment(v, "end", end)
	text(v, "cursor", cursor)
	flag(v, "summary", summary)
	if limit > 0 {
		v.Set("limit", strconv.Itoa(limit))
	}
	if order == history.NewestFirst {
		v.Set("order", "desc")
	}
	return v
}

func text(v url.Values, name, value string) {
	if value != "" {
		v.Set(name, value)
	}
}

func moment(v url.Values, name string, t time.Time) {
	if !t.IsZero() {
		v.Set(name, t.UTC().Format(time.RFC3339Nano))
	}
}

func flag(v url.Values, name string, set bool) {
	if set {
		v.Set(name, "true")
	}
}
