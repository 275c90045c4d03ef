package incidents_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/archive"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
	"github.com/watchhistory/watchhistory/pkg/why"
)

var (
	recordAgain = flag.Bool("record", false, "play all incidents on a dev cluster, and rewrite testdata")
	only        = flag.String("only", "", "regular expression of the names of incidents")
	details     = flag.Bool("details", false, "print the causes of each incident")
)

// clockTolerance is how far the clocks of the play and of the recorder may
// differ, and how late a record may be.
const clockTolerance = 2 * time.Second

// TestWhy_FindsCauses asks why the object of each incident fails. The right
// cause must be first in 85 % of the incidents that have one in the record, and
// among the first three in 95 %. For the others, no cause may be likely.
func TestWhy_FindsCauses(t *testing.T) {
	if *recordAgain {
		again := slices.DeleteFunc(all(), func(i incident) bool { return !selected(i.name) })
		record(t, again)
	}
	files, err := filepath.Glob("testdata/*.json")
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%-28s %-15s %-7s %7s %5s %6s %5s %8s %8s\n",
		"INCIDENT", "CLASS", "SYMPTOM", "ONSET", "RANK", "BEST", "ROWS", "WHY", "PAGE")
	first, third, causes := 0, 0, 0
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		if !selected(name) {
			continue
		}
		r := examine(t, name, 0)
		rank := "-"
		if r.Cause != nil {
			causes++
			rank = "none"
			if r.rank > 0 {
				rank = fmt.Sprint(r.rank)
			}
			if r.rank == 1 {
				first++
			}
			if r.rank > 0 && r.rank <= 3 {
				third++
			}
		}
		best := 0.0
		if len(r.why.Causes) > 0 {
			best = r.why.Causes[0].Score
		}
		if r.Cause == nil && best >= why.Likely {
			t.Errorf("%s: got a cause with the score %.2f, want none with %.2f or more:\n%s", name, best, why.Likely,
				r.details())
		}
		symptom, onset := "no", ""
		if !r.why.Onset.IsZero() {
			symptom, onset = "yes", fmt.Sprintf("%+.1fs", r.why.Onset.Sub(r.Onset).Seconds())
		}
		fmt.Fprintf(&b, "%-28s %-15s %-7s %7s %5s %6.2f %5d %6dms %6dms\n", name, r.Class, symptom, onset, rank, best,
			r.rows,
			r.whyTook.Milliseconds(), r.pageTook.Milliseconds())
		if *details {
			b.WriteString(r.details())
		}
	}
	fmt.Fprintf(&b, "%d causes: %d first, %d in the first three", causes, first, third)
	t.Log("\n" + b.String())
	if first*100 < causes*85 {
		t.Errorf("got %d of %d right causes first, want at least 85 %%", first, causes)
	}
	if third*100 < causes*95 {
		t.Errorf("got %d of %d right causes in the first three, want at least 95 %%", third, causes)
	}
}

// selected reports whether the flag selects an incident.
func selected(name string) bool {
	ok, err := regexp.MatchString(*only, name)
	return ok && err == nil
}

// result is what was found of one incident.
type result struct {
	answer
	why      query.WhyAnswer
	rank     int // of the right cause; 0: not found
	rows     int // of the front page
	whyTook  time.Duration
	pageTook time.Duration
}

// delayed is by how much more than a few seconds a cause has its effect.
const delayed = time.Hour

// TestWhy_FindsOldCauses is TestWhy_FindsCauses for causes that have their
// effect only when something else happens, such as a restart. They, and what
// was before them, are an hour earlier than they were played.
func TestWhy_FindsOldCauses(t *testing.T) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil {
		t.Fatal(err)
	}
	causes, third := 0, 0
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		a := readAnswer(t, name)
		if !selected(name) || a.Cause == nil || a.Onset.Sub(a.Cause.To) < 2*clockTolerance {
			continue
		}
		causes++
		r := examine(t, name, delayed)
		if r.rank > 0 && r.rank <= 3 {
			third++
		}
		t.Logf("%-28s %d of %d", name, r.rank, len(r.why.Causes))
		if *details {
			t.Log(r.details())
		}
	}
	if third*100 < causes*95 {
		t.Errorf("got %d of %d right causes in the first three, want at least 95 %%", third, causes)
	}
}

// readAnswer returns what is known of an incident.
func readAnswer(t *testing.T, name string) (a answer) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	if err == nil {
		err = json.Unmarshal(text, &a)
	}
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// open opens the export of an incident. Records up to the cause are moved to an
// earlier time.
func open(t *testing.T, name string, c *cause, earlier time.Duration) *archive.Reader {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name+".export"))
	if err != nil {
		t.Fatal(err)
	}
	log, err := archive.Open(t.Context(), bytes.NewReader(data), t.TempDir(), nil)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if earlier == 0 {
		return log
	}
	defer log.Close()
	var moved bytes.Buffer
	e := &history.Excerpt{
		Extent:    history.Extent{Start: log.Header().Start.Add(-earlier), End: log.Header().End},
		Baselines: func(func(*history.Record, error) bool) {},
		Records: func(yield func(*history.Record, error) bool) {
			for r, err := range log.Scan(t.Context(), history.Scan{Bodies: true}) {
				if err == nil && !r.Time.After(c.To.Add(clockTolerance)) {
					r.Time = r.Time.Add(-earlier)
				}
				if !yield(r, err) {
					return
				}
			}
		},
	}
	if e.Catalogue, err = log.Resources(t.Context()); err == nil {
		for i := range e.Catalogue {
			e.Catalogue[i].Since = e.Start
		}
		_, err = archive.Write(&moved, e, "incidents", e.End, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	old, err := archive.Open(t.Context(), &moved, t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return old
}

// examine asks about one incident, with an earlier cause.
func examine(t *testing.T, name string, earlier time.Duration) (r result) {
	t.Helper()
	r.answer = readAnswer(t, name)
	log := open(t, name, r.Cause, earlier)
	defer log.Close()
	if earlier > 0 {
		r.Cause.From, r.Cause.To = r.Cause.From.Add(-earlier), r.Cause.To.Add(-earlier)
	}
	end := log.Header().End
	service := query.New(log, query.Options{Now: func() time.Time { return end }})
	resource, of, _ := strings.Cut(r.Ask, "/")
	asked := schema.ParseGroupResource(resource)
	namespace := history.ScopeOf(r.Namespace)
	start := time.Now()
	var err error
	r.why, err = service.Why(t.Context(), query.Why{
		Namespace: namespace, Type: asked.Resource, Group: asked.Group, Name: of, Limit: 10,
	})
	if r.whyTook = time.Since(start); err != nil {
		t.Errorf("%s: got error %v, want an answer", name, err)
	}
	start = time.Now()
	page, err := service.Folded(t.Context(), query.Timeline{
		Filter: history.Filter{Namespace: namespace, Start: end.Add(-time.Hour), End: end}, Limit: 500,
	})
	if r.pageTook = time.Since(start); err != nil {
		t.Errorf("%s: got error %v, want a page", name, err)
	}
	r.rows = len(page.Rows)
	for n := range r.why.Causes {
		if c := r.why.Causes[n].Change; r.Cause != nil && r.Cause.is(c) && r.rank == 0 {
			r.rank = n + 1
		}
	}
	return r
}

// is reports whether a record is the cause.
func (c *cause) is(r *history.Record) bool {
	return r.Ref.GroupResource().String()+"/"+r.Ref.Name == c.Object && r.Verb.String() == c.Verb &&
		!r.Time.Before(c.From.Add(-clockTolerance)) && !r.Time.After(c.To.Add(clockTolerance))
}

// details describes the answer.
func (r *result) details() string {
	var b strings.Builder
	fmt.Fprintf(&b, "    %v %s; onset %s, healthy until %s\n", r.why.Health.State, r.why.Health.Text,
		r.why.Onset.Format("15:04:05"), r.why.HealthyUntil.Format("15:04:05"))
	for _, s := range r.why.Symptoms {
		fmt.Fprintf(&b, "    ✗ %d× %s %s: %s\n", s.Count, s.Of.Ref.Name, s.Code, s.Text)
	}
	for n, c := range r.why.Causes {
		fmt.Fprintf(&b, "    %d. %.3f %s %s %s/%s: %s %v %v\n", n+1, c.Score, c.Change.Time.Format("15:04:05"),
			c.Change.Verb, c.Change.Ref.Resource, c.Change.Ref.Name, c.Summary, c.For, c.Against)
	}
	return b.String()
}
