package render_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/render"
)

// versions returns two versions of an object that differ in every way that a
// diff writes.
func versions() (old, new v1.Event) {
	old = web(13, 10*time.Minute, "update", "x")
	new = web(14, 3*time.Minute, "update", "x", v1.Manager{Manager: "kubectl-set"})
	old.ObjectChanges = json.RawMessage(`{"metadata":{"annotations":{"deployment.kubernetes.io/revision":"1"},` +
		`"labels":{"a/b":"1"}},
		"data":{"conf":"a = 1\nb = 2\n-- c\nd\ne\nf\n","gone":"x\ny","note":"\u001b[31m","flag":"true","n":1},
		"spec":{"template":{"spec":{"containers":[{"name":"old","image":"x","args":["a"]},{"name":"app","image":"shop/web:1.4"}],
		"volumes":[{"name":"a"},{"name":"b"}]}}}}`)
	new.ObjectChanges = json.RawMessage(`{"metadata":{"annotations":{"deployment.kubernetes.io/revision":"2"},` +
		`"labels":{"a/b":"2"}},
		"data":{"conf":"a = 1\nb = 3\n\td\ne\nf\n","note":"\u001b[32m\u009b","flag":true,"n":12345678901234567890},
		"spec":{"empty":{},"template":{"spec":{"containers":[{"name":"app","image":"shop/web:1.5","env":[{"name":"A","value":"b"}]},{"name":"new"}],
		"volumes":[{"name":"b"},{"name":"a"}]}}}}`)
	return old, new
}

func TestDiff(t *testing.T) {
	testLooks(t, func(p *render.Printer) error {
		old, new := versions()
		_, hidden, err := p.Diff(&old, &new)
		if err == nil && hidden != 1 {
			err = fmt.Errorf("hidden changes: got %d, want 1", hidden)
		}
		gone := web(15, time.Minute, "delete", "deleted")
		gone.ObjectChanges = new.ObjectChanges
		_, _, errGone := p.Diff(&new, &gone)
		_, _, errAlone := p.Diff(nil, &gone)
		return errors.Join(err, errGone, errAlone)
	})
}

func TestDiff_ShowsNoise(t *testing.T) {
	var out bytes.Buffer
	old, new := versions()
	_, hidden, err := render.New(&out, render.Options{Now: now(), ShowNoise: true}).Diff(&old, &new)
	if err != nil || hidden != 0 || !strings.Contains(out.String(), `-   ["deployment.kubernetes.io/revision"]: "1"`) {
		t.Errorf("got %d hidden changes and error %v, want 0 and the annotation in:\n%s", hidden, err, out.String())
	}
}

func TestDiff_RejectsInvalidObject(t *testing.T) {
	old, new := versions()
	for _, body := range []string{"", "null", "[1]", "{"} {
		broken := old
		broken.ObjectChanges = json.RawMessage(body)
		for _, pair := range [][2]*v1.Event{{&broken, &new}, {&new, &broken}} {
			var out bytes.Buffer
			_, _, err := render.New(&out, render.Options{Now: now()}).Diff(pair[0], pair[1])
			if body != "null" && (err == nil || !strings.Contains(err.Error(), "revision 13 of deployment.apps/web")) {
				t.Errorf("object %q: got error %v, want one that names the revision", body, err)
			}
		}
	}
}

func TestUnified(t *testing.T) {
	for name, color := range map[string]bool{"plain": false, "terminal": true} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			p := render.New(&out, render.Options{Now: now(), Color: color})
			old, new := versions()
			if _, err := p.Unified(&old, &new); err != nil {
				t.Fatal(err)
			}
			if _, err := p.Unified(nil, &new); err != nil {
				t.Fatal(err)
			}
			golden(t, out.String())
		})
	}
}

// TestPrinter_EscapesUnsafeCharacters writes unsafe characters in every field
// that a cluster can fill.
func TestPrinter_EscapesUnsafeCharacters(t *testing.T) {
	for _, hostile := range []string{
		"\x1b[2J", "\x9b2J", "\u009b2J", "\u202e", "\x07", "\b", "\x00", "\u2028", "\x7f", "\r",
	} {
		e := v1.Event{
			Timestamp: now(), Verb: hostile, Namespace: hostile, ResourceName: hostile, Kind: hostile,
			Group: hostile, UID: hostile, ResourceVersion: hostile, Summary: hostile,
			Managers: []v1.Manager{{Manager: hostile, Subresource: hostile}},
		}
		quoted, _ := json.Marshal(hostile)
		old := e
		e.ObjectChanges = json.RawMessage(fmt.Sprintf(`{"type":%[1]s,"reason":%[1]s,"message":%[1]s,`+
			`"involvedObject":{"kind":%[1]s,"name":%[1]s},
			"source":{"component":%[1]s},%[1]s:%[1]s,"l":[{"name":%[1]s,"x":%[1]s}],"t":"a\nb"}`, quoted))
		old.ObjectChanges = json.RawMessage(fmt.Sprintf(`{"type":1,"l":[{"name":%[1]s,"x":1}],"t":%[2]s}`,
			quoted, `"a\nc`+string(quoted[1:])))
		gaps := []v1.Gap{{Group: hostile, Resource: hostile, Start: now(), Reason: hostile, Detail: hostile}}
		var out bytes.Buffer
		for _, write := range []func(*render.Printer) error{
			func(p *render.Printer) error { return p.Timeline([]v1.Event{e}, gaps) },
			func(p *render.Printer) error { return p.Related([]v1.Event{e}, gaps) },
			func(p *render.Printer) error { return p.Names([]v1.Event{e}) },
			func(p *render.Printer) error { return p.JSON(render.Items{Items: []v1.Event{e}}) },
			func(p *render.Printer) error { return p.YAML(render.Items{Items: []v1.Event{e}}) },
			func(p *render.Printer) error { _, _, err := p.Diff(&old, &e); return err },
			func(p *render.Printer) error { _, err := p.Unified(&old, &e); return err },
		} {
			err := write(render.New(&out, render.Options{Wide: true, Namespaces: true, Terminal: true}))
			if err != nil {
				t.Fatal(err)
			}
		}
		for _, r := range []string{"\x1b", "\x9b", "\u009b", "\u202e", "\x07", "\b", "\x00", "\u2028", "\x7f", "\r"} {
			if i := strings.Index(out.String(), r); i >= 0 &&
				(r != "\x9b" || strings.Contains(strings.ToValidUTF8(out.String(), "\x00"), "\x00")) {
				t.Errorf("got %q in the output, want it escaped: %q",
					r, out.String()[max(i-20, 0):min(i+20, out.Len())])
			}
		}
	}
}

func TestDiff_Widths(t *testing.T) {
	testWidths(t, func(p *render.Printer) error {
		old, new := web(7, time.Hour, "update", ""), web(8, 3*time.Minute, "update", "image, and more",
			v1.Manager{Manager: "kubectl-edit"})
		old.ObjectChanges = json.RawMessage(`{"spec":{"replicas":2,"containers":[{"name":"app","image":"web:1"}]}}`)
		new.ObjectChanges = json.RawMessage(`{"spec":{"replicas":4,"containers":[{"name":"app","image":"web:2",` +
			`"env":[{"name":"TIMEOUT","value":"30s"}]}]}}`)
		_, _, err := p.Diff(&old, &new)
		_, errUnified := p.Unified(&old, &new)
		return errors.Join(err, errUnified)
	})
}
