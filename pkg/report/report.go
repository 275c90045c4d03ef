package report

import (
	"encoding/json"
	"time"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/render"
)

// Report is the content of a report. Nothing in it is escaped.
type Report struct {
	Title     string
	Namespace history.NamespaceScope
	Start     time.Time
	End       time.Time      // exclusive
	Location  *time.Location // of the times in Markdown

	Coverage Coverage
	// Rules are those that the report checks. They may be empty.
	Rules []Rule
	// Problems are the objects that had a problem at the end, each with the
	// changes that may have caused it.
	Problems     []Problem
	MoreProblems bool  // there may be more objects with a problem
	Rows         []Row // oldest first
	Cut          bool  // older rows were omitted
	MoreDiffs    int   // older changes whose diffs were not read
	// Compared is nil if nothing was recorded at the start.
	Compared *Compared
	// Deleted are the objects that were deleted, newest first.
	Deleted     []Deleted
	MoreDeleted bool   // older deletions were omitted
	Series      Series // empty unless the question asked for them
}

// Coverage is what the record does not contain.
type Coverage struct {
	Since       time.Time // the start of the history; zero if unknown
	Trimmed     bool      // the start is where the retention begins
	Gaps        []v1.Gap  // in the order of their starts
	NotRecorded []string  // types with a reason: "leases.coordination.k8s.io (excluded)"
	Ignored     string    // the rules by which the recorder ignores changes
	Restricted  bool      // the user may read less than the report is about
	Limit       string    // all that the file of the history has: "namespace shop"; empty: it is not limited
}

// Problem is an answer about an object, with the diffs of its causes.
type Problem struct {
	v1.Why

	Diffs []string // of the causes; "" for those without one
}

// Row is a folded row with the diffs of its changes.
type Row struct {
	v1.Row

	// Diffs are those of the newest changes that the row shows, by their
	// position in Changes.
	Diffs map[int]string
}

// Compared is what differs between the start and the end.
type Compared struct {
	From, To time.Time
	Stats    []render.Stat
	Existed  *v1.ObjectCount // objects at the start; nil if they were not counted
	Hidden   string          // differences that only follow from others: "8 pods, 4 replicasets"
	HiddenN  int             // how many
}

// Deleted is an object that was deleted.
type Deleted struct {
	Event    v1.Event        // the deletion, without the object
	Manifest json.RawMessage // as it was last; nil if that is not recorded
}

// Question selects what a report is about.
type Question struct {
	Title     string // empty: a title is made
	Namespace history.NamespaceScope
	Start     time.Time      // inclusive; zero: from the beginning
	End       time.Time      // exclusive; zero: until Now
	Now       time.Time      // the recorder's time
	Location  *time.Location // nil: UTC

	Limit    int  // folded rows, the newest; 0: all
	PageSize int  // rows that are read at a time; 0: the default
	Diffs    int  // of the newest changes; 0: the default
	Series   bool // also read what charts show
}
