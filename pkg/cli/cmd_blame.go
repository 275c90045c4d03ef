package cli

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/diff"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/render"
)

// blamePage is the number of versions that blame reads at a time. They have
// their bodies.
const blamePage = 100

// blameOptions are the options of blame, which shows the version that last
// changed each field of an object.
type blameOptions struct {
	*connection
	output

	at  moment
	uid string
	all bool // also the status, and what never changes or is noise
}

func newBlame(conn *connection) *cobra.Command {
	o := &blameOptions{connection: conn}
	cmd := &cobra.Command{
		Use:   "blame (TYPE NAME | TYPE/NAME)[#REVISION | @TIME]",
		Short: "Show which version last changed each field of an object, and who wrote it",
		Long: paragraphs(`
			Show each field of an object with the revision, the writer and the age of the version that
			last changed it, as git blame does for the lines of a file.

			The beginning of a path is left out if it is that of the line above. Items of lists are
			followed by their names or other keys, wherever they are in the list.

			^ before a revision means that the field already had its value in the oldest version that is
			recorded: it was set before recording began, or in a version that is not kept.

			A field that other managers wrote, too, in earlier versions or at the same time, has their
			names after it. The recorder stores a few changed fields of each write, so some may be
			missing. -o wide adds when they last did.

			The status is left out, and so is what identifies the object or repeats other fields. --all
			shows everything.`),
		Example: examples(conn.env, `
			# Who set what in a Deployment
			watchhistory blame deploy/web -n shop

			# As it was yesterday evening, and in revision 8
			watchhistory blame deploy/web -n shop --at 'yesterday 18:00'
			watchhistory blame deploy/web#8 -n shop

			# The fields that people set with kubectl
			watchhistory blame deploy/web -n shop -o json |
			jq '.fields[] | select(.manager // "" | startswith("kubectl")) | {path, value, manager}'`),
		Args:              oneObject,
		ValidArgsFunction: conn.completeOne,
		RunE:              runE(o),
	}
	fs := cmd.Flags()
	o.at.addFlag(fs, "Show the object as it was at a time")
	fs.BoolVar(&o.all, "all", false, "Also show the status, what identifies the object, and noise.")
	fs.StringVar(&o.uid, "uid", "", "Only show the object with this UID.")
	o.output.addFlags(cmd)
	_ = cmd.RegisterFlagCompletionFunc("uid", conn.completeUIDs)
	return cmd
}

// complete parses the flags.
func (o *blameOptions) complete() error {
	if err := o.output.complete(); err != nil {
		return err
	}
	return o.at.complete(o.env.Now().In(o.location))
}

// validate rejects invalid flags.
func (o *blameOptions) validate() error { return o.output.validate() }

// run writes the fields of the object.
func (o *blameOptions) run(ctx context.Context, args []string) error {
	object, err := parseObject(args)
	if err != nil {
		return err
	}
	if object.ref.isSet() && o.at.isSet() {
		return withAdvice("Leave out one of them.",
			"--at can't be combined with a revision or a time after the name")
	}
	if o.at.isSet() {
		object.ref.at = o.at
	}
	return o.withSession(ctx, func(s *session) error {
		resolved, err := s.types.resolve(ctx, object.kind)
		if err != nil {
			return err
		}
		if err := o.resolveMoments(ctx, s, o.location, &object.ref.at); err != nil {
			return err
		}
		v := newVersions(s, &o.env, subject{resolved, object.name}, o.uid)
		e, err := v.version(ctx, &object.ref)
		if err != nil {
			return err
		}
		if e.Verb == history.Delete.String() {
			return o.deletedError(v, e)
		}
		b, oldest, err := o.blame(ctx, v, e)
		if err != nil {
			return err
		}
		if err := o.addOtherWriters(ctx, v, b, e); err != nil {
			return err
		}
		return o.show(ctx, v, b, oldest, e)
	})
}

// deletedError returns the error for an object that did not exist.
func (o *blameOptions) deletedError(v *versions, e *v1.Event) error {
	hint := "Give an earlier time with --at."
	if e.Revision > 1 {
		hint = fmt.Sprintf("Its last version is %s/%s#%d.", v.subject.GroupResource(), v.subject.name, e.Revision-1)
	}
	return history.WithHint(history.Errorf(history.NotFound, "%s%s was deleted at %s", v.subject,
		in(history.ScopeOf(e.Namespace)), e.Timestamp.In(o.location).Format(time.RFC3339)), hint)
}

// blame compares a version with the ones before it until the origin of each
// field is known. It returns the oldest version that it compared.
func (o *blameOptions) blame(ctx context.Context, v *versions, e *v1.Event) (*render.Blame, *v1.Event, error) {
	object, err := render.Decode(e)
	if err != nil {
		return nil, nil, err
	}
	origins := diff.NewOrigins(object, o.skips)
	versions, before, newer := []*v1.Event{e}, "", object
	writers := map[*v1.Event][]diff.Path{} // the fields that root changes wrote
	q := v.queries(false)[0]
	q.Limit, q.End = blamePage, e.Timestamp
	for previous, err := range v.All(ctx, q) {
		if err != nil {
			return nil, nil, err
		}
		last := versions[len(versions)-1]
		if origins.Open() == 0 || len(previous.ObjectChanges) == 0 {
			break
		}
		if !bytes.Equal(previous.ObjectChanges, last.ObjectChanges) {
			decoded, err := render.Decode(&previous)
			if err != nil {
				return nil, nil, err
			}
			origins.Back(len(versions)-1, decoded)
			if last.Class == v1.ClassRoot {
				for _, c := range diff.Objects(decoded, newer) {
					writers[last] = append(writers[last], c.Path)
				}
			}
			newer = decoded
		}
		last.ObjectChanges = nil // the comparison has what it needs of it
		versions = append(versions, &previous)
		if len(versions) > blamePage && o.env.progress != nil {
			o.env.progress.replace(fmt.Sprintf("Reading versions: %d…", len(versions)))
		}
	}
	oldest := versions[len(versions)-1]
	known := origins.Open()
	origins.Close(len(versions) - 1)
	if known > 0 {
		before = beforeOf(oldest)
	}
	b := &render.Blame{
		Object: v1.Object{
			Group: e.Group, ResourceType: e.ResourceType, Kind: e.Kind, Namespace: e.Namespace, Name: e.ResourceName,
			UID: e.UID,
		},
		Revision: e.Revision, Timestamp: e.Timestamp, Fields: []render.BlameField{},
	}
	for _, leaf := range origins.Leaves() {
		f := blameField(leaf, versions[leaf.Origin])
		if versions[leaf.Origin] == oldest {
			f.Before = before
		}
		b.Fields = append(b.Fields, f)
	}
	if oldest.Verb == history.Create.String() && !oldest.Initial && len(oldest.Managers) == 1 {
		for _, leaf := range diff.NewOrigins(newer, o.skips).Leaves() {
			writers[oldest] = append(writers[oldest], leaf.Path)
		}
	}
	for _, version := range versions {
		for _, path := range writers[version] {
			addWriterOf(b, version, path.String())
		}
	}
	return b, oldest, nil
}

// beforeOf returns why fields may have been set before the oldest version, or
// "" if it is the creation of the object.
func beforeOf(oldest *v1.Event) string {
	switch {
	case oldest.Initial:
		return render.BeforeRecording
	case oldest.Revision > 1 || oldest.Verb != history.Create.String():
		return render.BeforeRetention
	default:
		return ""
	}
}

// maxOtherVersions is the number of versions in which other writers of fields
// are searched.
const maxOtherVersions = 1000

// addOtherWriters adds to each field the managers that wrote it in earlier
// versions, or together with the one that is shown.
func (o *blameOptions) addOtherWriters(ctx context.Context, v *versions, b *render.Blame, e *v1.Event) error {
	q := v.queries(true)[0]
	q.UID, q.Limit, q.End = e.UID, defaultChunkSize, e.Timestamp.Add(1)
	read := 0
	for version, err := range v.All(ctx, q) {
		if err != nil {
			return err
		}
		if read++; read > maxOtherVersions {
			break
		}
		for i := range version.Managers {
			addWriter(b, &version, &version.Managers[i])
		}
	}
	return nil
}

// addWriter adds a manager of a version to the fields that it wrote.
func addWriter(b *render.Blame, e *v1.Event, m *v1.Manager) {
	for i := range b.Fields {
		if f := &b.Fields[i]; wrote(m, f.Path) {
			addTo(f, e, m.Manager, render.Writer(m.Manager))
		}
	}
}

// addWriterOf adds the writer of a version to the fields at a path that it
// changed.
func addWriterOf(b *render.Blame, e *v1.Event, path string) {
	for i := range b.Fields {
		f := &b.Fields[i]
		if !wrote(&v1.Manager{Fields: []string{path}}, f.Path) {
			continue
		}
		if m := managerOf(e, f.Path); m != nil {
			addTo(f, e, m.Manager, render.Writer(m.Manager))
		} else if u := e.Unmanaged; u != nil {
			addTo(f, e, u.Writer, "? ("+u.Subresource+")")
		}
	}
}

// addTo adds another writer to a field, unless the field has it.
func addTo(f *render.BlameField, e *v1.Event, manager, short string) {
	isKnown := func(w render.BlameWriter) bool { return w.Short == short }
	if short == f.Short || f.Revision == e.Revision && f.Short == "" || slices.ContainsFunc(f.Also, isKnown) {
		return
	}
	f.Also = append(f.Also, render.BlameWriter{
		Manager: manager, Short: short, Revision: e.Revision, Timestamp: e.Timestamp,
	})
}

// wrote reports whether a manager lists a field, or one that contains it.
func wrote(m *v1.Manager, path string) bool {
	return slices.ContainsFunc(m.Fields, func(field string) bool {
		rest, ok := strings.CutPrefix(path, field)
		return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
	})
}

// blameField returns a field that a version changed.
func blameField(leaf *diff.Leaf, e *v1.Event) render.BlameField {
	f := render.BlameField{
		Path: leaf.Path.String(), Segments: leaf.Path, Value: leaf.Value,
		Revision: e.Revision, Timestamp: e.Timestamp, Event: e,
	}
	if m := managerOf(e, f.Path); m != nil {
		f.Manager, f.Short = m.Manager, render.Writer(m.Manager)
	}
	return f
}

// managerOf returns the manager that wrote a field in a version: the one that
// lists it or, because the lists are short, the newest one. It returns nil if
// none is recorded.
func managerOf(e *v1.Event, path string) *v1.Manager {
	if len(e.Managers) == 0 {
		return nil
	}
	for i := range e.Managers {
		if wrote(&e.Managers[i], path) {
			return &e.Managers[i]
		}
	}
	return &e.Managers[0]
}

// skips reports whether a value is left out.
func (o *blameOptions) skips(path diff.Path) bool {
	if o.all {
		return false
	}
	for _, fields := range [][]string{
		{"status"},
		{"apiVersion"},
		{"kind"},
		{"metadata", "name"},
		{"metadata", "namespace"},
		{"metadata", "uid"},
		{"metadata", "creationTimestamp"},
	} {
		if path.Below(fields...) {
			return true
		}
	}
	return diff.Change{Path: path, Kind: diff.Changed}.Noise()
}

// show writes the fields in the format of --output, and notes about what is not
// known.
func (o *blameOptions) show(ctx context.Context, v *versions, b *render.Blame, oldest, e *v1.Event) error {
	gaps, err := v.gapsBetween(ctx, oldest, e)
	if err != nil {
		return err
	}
	p := o.printer(&o.env, false, false)
	switch o.format {
	case "", "wide":
		err = p.Blame(b)
	case "name":
		err = p.Names([]v1.Event{*e})
	case "json":
		err = p.JSON(b)
	case "yaml":
		err = p.YAML(b)
	default:
		err = o.writeTemplate(&o.env, b)
	}
	if err != nil {
		return err
	}
	if len(b.Fields) == 0 {
		o.env.note("The object has no fields but its status and what identifies it; --all shows them.")
	}
	if i := slices.IndexFunc(b.Fields, func(f render.BlameField) bool { return f.Before != "" }); i >= 0 {
		at := clock(oldest.Timestamp.In(o.location), o.env.recorderNow().In(o.location))
		text := "^ = set before recording began at " + at
		if b.Fields[i].Before == render.BeforeRetention {
			text = "^ = set in that version or before: older ones than that of " + at + " are not kept"
		}
		o.env.note(text)
	}
	o.env.note(gapsNote(len(gaps), true, ""))
	return nil
}
