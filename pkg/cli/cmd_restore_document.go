package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/diff"
	"github.com/watchhistory/watchhistory/pkg/restore"
)

// restoreDocument is the document of -o json and -o yaml: the plan and, with
// --yes, what became of it. docs/restore.md describes it.
type restoreDocument struct {
	Namespace   string        `json:"namespace,omitempty"` // that is restored with its objects
	At          time.Time     `json:"at,omitzero"`         // of the namespace's state
	Deleted     time.Time     `json:"deleted,omitzero"`    // when the namespace was deleted
	Applied     bool          `json:"applied"`             // with --yes
	Interrupted bool          `json:"interrupted,omitempty"`
	Steps       []restoreStep `json:"steps"`                 // in their order; never null
	NotRecorded []string      `json:"notRecorded,omitempty"` // types
}

// restoreStep is what is done about one object.
type restoreStep struct {
	Action       string   `json:"action"`
	Group        string   `json:"group"` // "" for the core group
	APIVersion   string   `json:"apiVersion"`
	Kind         string   `json:"kind"`
	ResourceType string   `json:"resourceType"` // the plural
	Namespace    string   `json:"namespace"`    // "" for cluster-scoped objects
	ResourceName string   `json:"resourceName"`
	Revision     uint64   `json:"revision,omitempty"`  // of an object that was named
	Reason       string   `json:"reason,omitempty"`    // of skip
	Notes        []string `json:"notes,omitempty"`     // how the object differs from the recorded one
	Hashed       []string `json:"hashed,omitempty"`    // paths of values that are recorded as hashes
	Unchecked    bool     `json:"unchecked,omitempty"` // the API server can't validate it yet
	// Changes are those of an update, without noise and without values of
	// Secrets.
	Changes []v1.Change `json:"changes,omitempty"`
	Result  string      `json:"result,omitempty"` // with --yes
	Error   string      `json:"error,omitempty"`  // why it can't be done, or has failed
	Hint    string      `json:"hint,omitempty"`   // what to do about that
}

// The results of steps.
const (
	resultCreated   = "created"
	resultUpdated   = "updated"
	resultReleased  = "released"
	resultUnchanged = "unchanged"
	resultFailed    = "failed"
	resultUnknown   = "unknown" // interrupted
)

// writeDocument writes the plan, if the output is a document.
func (r *restoration) writeDocument(plan *restore.Plan) error {
	if r.document.format == "" {
		return nil
	}
	d := restoreDocument{
		Namespace: r.namespace, At: r.at.UTC(), Deleted: r.deleted.UTC(), Applied: r.yes, Interrupted: r.interrupted,
		NotRecorded: r.unknown, Steps: []restoreStep{},
	}
	for _, s := range plan.Steps {
		step, err := r.stepDocument(s)
		if err != nil {
			return err
		}
		d.Steps = append(d.Steps, step)
	}
	for _, o := range r.createdSince() {
		step := newRestoreStep("keep", o)
		step.Hint = deleteCommand(o.GVR.GroupResource(), o.Namespace, o.Name)
		d.Steps = append(d.Steps, step)
	}
	return r.document.write(r.printer(&r.env, false, false), &d, nil)
}

// newRestoreStep returns the step about an object.
func newRestoreStep(action string, o *restore.Object) restoreStep {
	return restoreStep{
		Action: action, Group: o.GVR.Group, APIVersion: o.GVR.GroupVersion().String(), Kind: o.Kind,
		ResourceType: o.GVR.Resource, Namespace: o.Namespace, ResourceName: o.Name,
	}
}

// stepDocument returns a step of the plan, with its result.
func (r *restoration) stepDocument(s *restore.Step) (step restoreStep, err error) {
	step = newRestoreStep(s.Action.String(), &s.Object)
	step.Revision, step.Reason, step.Hashed, step.Unchecked = r.revisions[s.Key()], s.Reason, s.Hashed, s.Unchecked
	step.Result = r.results[s]
	switch {
	case s.Err != nil:
		step.Error, step.Hint = r.explain(s, s.Err)
		if r.yes {
			step.Result = resultFailed
		}
		return step, nil
	case s.Action == restore.Refuse:
		step.Error, step.Hint = refusal(s)
		if r.yes {
			step.Result = resultFailed
		}
	case s.Action == restore.Release:
		step.Notes = append(step.Notes, releaseText(s))
	case s.Action == restore.Update:
		before, after := s.Changes()
		step.Changes, err = changesOf(before, after)
	}
	if s.NewAddresses {
		step.Notes = append(step.Notes, "with a new address")
	}
	step.Notes = append(step.Notes, s.Notes...)
	return step, err
}

// changesOf returns the changes between two objects, without noise.
func changesOf(before, after map[string]any) (all []v1.Change, err error) {
	for _, c := range diff.Objects(before, after) {
		if c.Noise() {
			continue
		}
		change := v1.Change{Path: c.Path.String(), Change: c.Kind.String()}
		if c.Kind != diff.Added {
			change.Old, err = valueDocument(c.Old)
		}
		if c.Kind != diff.Removed && err == nil {
			change.New, err = valueDocument(c.New)
		}
		if err != nil {
			return nil, fmt.Errorf("encode %s: %w", change.Path, err)
		}
		all = append(all, change)
	}
	return all, nil
}

// valueDocument returns a value as JSON, with the characters of HTML as they
// are.
func valueDocument(value any) (json.RawMessage, error) {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	err := e.Encode(value)
	return bytes.TrimSpace(text.Bytes()), err
}
