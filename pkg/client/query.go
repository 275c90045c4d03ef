package client

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// EventsQuery selects the records of many objects. A record must satisfy every
// field that is set. The zero value selects all records, oldest first.
type EventsQuery struct {
	Start time.Time // inclusive; zero: from the beginning
	End   time.Time // exclusive; zero: until now

	Namespace history.NamespaceScope
	// Namespaces selects the objects in any of these scopes, or in Namespace.
	Namespaces []history.NamespaceScope
	// Resources selects any of these, in every form that kubectl accepts:
	// "deploy", "deployments.apps", "Deployment".
	Resources []string
	// Group is the API group of Resources that don't name one. [v1.CoreGroup]
	// is the core group.
	Group string
	Name  string
	UID   string
	Verbs []history.Verb // any of these; empty: all
	// Managers selects the versions that any of these field managers wrote.
	Managers []string
	Classes  []history.Class // any of these; empty: all

	// LabelSelector and FieldSelector select objects as in the Kubernetes API.
	LabelSelector, FieldSelector string
	// Reasons and EventTypes select Kubernetes Events by reason and type; any
	// of these.
	Reasons, EventTypes []string
	// Writers selects by who wrote, in the words of operators: "kubectl",
	// "argocd", "?". A "!" before a name excludes the writer.
	Writers []string
	// Text is in the summary, the problem or the name. Case matters only if it
	// has a capital letter.
	Text string
	// Expression is a CEL expression that is true for the records.
	Expression string

	Order   history.Order // zero: oldest first; or [history.NewestFirst]
	Limit   int           // records per page; 0, or more than the recorder's maximum: its maximum
	Cursor  string        // [Page.Next] of the previous page
	Summary bool          // without bodies: the events have no ObjectChanges
	// Outcome adds to each root change how it ended, and the release that made
	// it.
	Outcome bool
	// Previous adds to each update the object in the version before it, unless
	// Summary is set. A recorder that is older adds none.
	Previous bool

	// Consequences is how many consequences of each row [Client.Folded] returns
	// at most, up to [v1.MaxConsequences].
	Consequences int
}

// values returns the query as parameters of the API.
func (q *EventsQuery) values() url.Values {
	v := pageValues(q.Start, q.End, q.Order, q.Limit, q.Cursor, q.Summary)
	setText(v, v1.ParamNamespace, q.Namespace.String())
	for _, namespace := range q.Namespaces {
		v.Add(v1.ParamNamespace, namespace.String())
	}
	setText(v, v1.ParamResourceType, strings.Join(q.Resources, ","))
	setText(v, v1.ParamGroup, q.Group)
	setText(v, v1.ParamResourceName, q.Name)
	setText(v, v1.ParamUID, q.UID)
	for _, verb := range q.Verbs {
		v.Add(v1.ParamVerb, verb.String())
	}
	addTexts(v, v1.ParamManager, q.Managers)
	for _, class := range q.Classes {
		v.Add(v1.ParamClass, class.String())
	}
	setText(v, v1.ParamLabelSelector, q.LabelSelector)
	setText(v, v1.ParamFieldSelector, q.FieldSelector)
	addTexts(v, v1.ParamReason, q.Reasons)
	addTexts(v, v1.ParamType, q.EventTypes)
	addTexts(v, v1.ParamWriter, q.Writers)
	setText(v, v1.ParamText, q.Text)
	setText(v, v1.ParamQuery, q.Expression)
	if q.Consequences > 0 {
		v.Set(v1.ParamConsequences, strconv.Itoa(q.Consequences))
	}
	setFlag(v, v1.ParamOutcome, q.Outcome)
	setFlag(v, v1.ParamPrevious, q.Previous)
	return v
}

// ObjectQuery selects the history of all objects that had one name, one after
// another. Namespace, Resource and Name are required.
type ObjectQuery struct {
	Namespace history.NamespaceScope // one namespace, or [history.ClusterScoped]
	Resource  string                 // in every form that kubectl accepts
	Group     string                 // the API group, if Resource does not name it
	Name      string
	UID       string // one incarnation only

	Start       time.Time // inclusive; zero: from the beginning
	End         time.Time // exclusive; zero: until now
	Revisions   []uint64  // only these versions, and no Events
	Descendants bool      // include the Events regarding the object's descendants

	Order   history.Order // zero: oldest first; or [history.NewestFirst]
	Limit   int           // records per page and list; 0, or more than the recorder's maximum: its maximum
	Cursor  string        // [Page.Next] of the previous page
	Summary bool          // without bodies
}

// validate rejects queries that have no path: a slash would separate segments,
// and [history.AllNamespaces] would be an empty segment.
func (q *ObjectQuery) validate() error {
	_, narrowed := q.Namespace.Namespace()
	switch {
	case q.Resource == "" || q.Name == "":
		return history.Errorf(history.Invalid, "query object: resource and name are required, got %q and %q",
			q.Resource, q.Name)
	case !narrowed:
		return history.Errorf(history.Invalid, "query object %s %s: want one namespace, or cluster scope",
			q.Resource, q.Name)
	case strings.Contains(q.Resource+q.Namespace.String()+q.Name, "/"):
		return history.Errorf(history.Invalid, "query object %s %s: a namespace, resource or name has no slash",
			q.Resource, q.Name)
	default:
		return nil
	}
}

// values returns the query, except for its path, as parameters of the API.
func (q *ObjectQuery) values() url.Values {
	v := pageValues(q.Start, q.End, q.Order, q.Limit, q.Cursor, q.Summary)
	setText(v, v1.ParamGroup, q.Group)
	setText(v, v1.ParamUID, q.UID)
	setFlag(v, v1.ParamDescendants, q.Descendants)
	revisions := make([]string, len(q.Revisions))
	for i, n := range q.Revisions {
		revisions[i] = strconv.FormatUint(n, 10)
	}
	setText(v, v1.ParamRevision, strings.Join(revisions, ","))
	return v
}

// GapsQuery selects gaps. The zero value selects all of them.
type GapsQuery struct {
	Start time.Time // zero: from the beginning
	End   time.Time // zero: until now

	Resources []string // as in [EventsQuery]
	Group     string   // as in [EventsQuery]
}

// values returns the query as parameters of the API.
func (q *GapsQuery) values() url.Values {
	v := url.Values{}
	setTime(v, v1.ParamStart, q.Start)
	setTime(v, v1.ParamEnd, q.End)
	setText(v, v1.ParamResourceType, strings.Join(q.Resources, ","))
	setText(v, v1.ParamGroup, q.Group)
	return v
}

// StateQuery selects objects as they were at a time. The zero value selects all
// objects as they are now.
type StateQuery struct {
	At time.Time // inclusive; zero: now

	Namespace history.NamespaceScope
	Resources []string // as in [EventsQuery]
	Group     string   // as in [EventsQuery]
	Name      string
	UID       string

	// Strip removes what servers and controllers set, so that the objects can
	// be applied.
	Strip bool
	// Problem selects the objects that had a problem at the time. A page may be
	// empty although others follow.
	Problem bool
	Limit   int    // objects per page; 0, or more than the recorder's maximum: its maximum
	Cursor  string // [Page.Next] of the previous page; it contains the time
}

// values returns the query as parameters of the API.
func (q *StateQuery) values() url.Values {
	v := objectValues(q.Namespace, q.Resources, q.Group, q.Name, q.UID, q.Limit, q.Cursor)
	setTime(v, v1.ParamAt, q.At)
	setFlag(v, v1.ParamStrip, q.Strip)
	setFlag(v, v1.ParamProblem, q.Problem)
	return v
}

// CompareQuery selects the objects that differ between two times. From is
// required, unless there is a Cursor.
type CompareQuery struct {
	From time.Time // inclusive
	To   time.Time // inclusive; zero: now

	Namespace history.NamespaceScope
	Resources []string // as in [EventsQuery]
	Group     string   // as in [EventsQuery]
	Name      string
	UID       string

	Noise   bool   // include objects of which only noise differs
	Summary bool   // without Changes
	Count   bool   // count the objects that existed at From, on the first page
	Limit   int    // differences per page; 0, or more than the recorder's maximum: its maximum
	Cursor  string // [Page.Next] of the previous page; it contains the times
}

// values returns the query as parameters of the API.
func (q *CompareQuery) values() url.Values {
	v := objectValues(q.Namespace, q.Resources, q.Group, q.Name, q.UID, q.Limit, q.Cursor)
	setTime(v, v1.ParamFrom, q.From)
	setTime(v, v1.ParamTo, q.To)
	setFlag(v, v1.ParamNoise, q.Noise)
	setFlag(v, v1.ParamCount, q.Count)
	setFlag(v, v1.ParamSummary, q.Summary)
	return v
}

// objectValues sets the parameters that states and comparisons share.
func objectValues(
	namespace history.NamespaceScope, resources []string, group, name, uid string, limit int, cursor string,
) url.Values {
	v := url.Values{}
	setText(v, v1.ParamNamespace, namespace.String())
	setText(v, v1.ParamResourceType, strings.Join(resources, ","))
	setText(v, v1.ParamGroup, group)
	setText(v, v1.ParamResourceName, name)
	setText(v, v1.ParamUID, uid)
	setText(v, v1.ParamCursor, cursor)
	if limit > 0 {
		v.Set(v1.ParamLimit, strconv.Itoa(limit))
	}
	return v
}

// pageValues sets the parameters of all endpoints that return pages.
// [v1.EmptyOK] makes "nothing matches" a page instead of a 404.
func pageValues(start, end time.Time, order history.Order, limit int, cursor string, summary bool) url.Values {
	v := url.Values{v1.ParamEmpty: {v1.EmptyOK}}
	setTime(v, v1.ParamStart, start)
	setTime(v, v1.ParamEnd, end)
	setText(v, v1.ParamCursor, cursor)
	setFlag(v, v1.ParamSummary, summary)
	if limit > 0 {
		v.Set(v1.ParamLimit, strconv.Itoa(limit))
	}
	if order == history.NewestFirst {
		v.Set(v1.ParamOrder, v1.OrderDescending)
	}
	return v
}

func setText(v url.Values, name, value string) {
	if value != "" {
		v.Set(name, value)
	}
}

func addTexts(v url.Values, name string, values []string) {
	for _, value := range values {
		v.Add(name, value)
	}
}

func setTime(v url.Values, name string, t time.Time) {
	if !t.IsZero() {
		v.Set(name, t.UTC().Format(time.RFC3339Nano))
	}
}

func setFlag(v url.Values, name string, set bool) {
	if set {
		v.Set(name, "true")
	}
}
