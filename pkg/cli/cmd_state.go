package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/manifest"
	"github.com/watchhistory/watchhistory/pkg/render"
	"github.com/watchhistory/watchhistory/pkg/report"
	"github.com/watchhistory/watchhistory/pkg/restore"
)

// stateOptions are the options of state, which shows objects as they were at a
// time.
type stateOptions struct {
	*connection
	output

	at            moment
	allNamespaces bool
	selector      string
	strip         bool

	labels labels.Selector // of selector
}

func newState(conn *connection) *cobra.Command {
	o := &stateOptions{connection: conn}
	cmd := &cobra.Command{
		Use:   "state [TYPE[,TYPE ...] [NAME ...] | TYPE/NAME ...] --at TIME",
		Short: "Show objects as they were at a time",
		Long: paragraphs(`
			Show objects as they were at a time, deleted ones too. Without a type, show all objects of
			the namespace.

			The table has the age of each object at that time, and its last root change until then: the
			revision, how long before the time it was, who made it, and what changed. A root change is
			one that a person, a program or a node caused. Objects that controllers make, such as pods,
			have their last change.

			The formats json, yaml and templates print the objects themselves, as kubectl get does.
			--strip leaves out what servers and controllers set, so that kubectl can apply the objects.
			Without a type, it also leaves out the objects that controllers make from others. An object
			of which only hashes of values are recorded, such as most Secrets, is not printed then: its
			keys are named on stderr, and the command fails. restore brings objects back in one step.`),
		Example: examples(conn.env, `
			# What was in the namespace shop at 12:30?
			watchhistory state -n shop --at 12:30

			# The Deployments of all namespaces an hour ago, with their replicas then
			watchhistory state deploy -A --at 1h -o custom-columns=NAME:.metadata.name,REPLICAS:.spec.replicas

			# A Deployment as it was when another one was changed
			watchhistory state deploy/web -n shop --at deploy/api#8 -o yaml

			# Bring the ConfigMaps with a label back as they were
			watchhistory state cm -l app=web -n shop --at 12:30 -o yaml --strip | kubectl apply -f -`),
		ValidArgsFunction: conn.completeMany,
		RunE:              runE(o),
	}
	fs := cmd.Flags()
	o.at.addFlag(fs, "Show the objects of a time (default: now)")
	fs.BoolVarP(&o.allNamespaces, "all-namespaces", "A", false,
		"Show all namespaces, including cluster-scoped objects.")
	fs.StringVarP(&o.selector, "selector", "l", "", "Only show objects with these labels at that time, as in kubectl.")
	fs.BoolVar(&o.strip, "strip", false,
		"Print what kubectl can apply: without status and what servers and controllers set.")
	o.addFormatFlags(cmd)
	fs.BoolVar(&o.noHeaders, "no-headers", false, "Do not print the headers of tables.")
	return cmd
}

// complete parses the flags.
func (o *stateOptions) complete() error {
	if err := o.output.complete(); err != nil {
		return err
	}
	return o.at.complete(o.env.Now().In(o.location))
}

// validate rejects invalid flags.
func (o *stateOptions) validate() (err error) {
	if o.labels, err = labels.Parse(o.selector); err != nil {
		return invalidf("-l, --selector: %v", err)
	}
	if o.strip && (o.isTable() || o.format == "name") {
		return withAdvice("Add -o yaml.", "--strip is for manifests, and the output has none")
	}
	return o.output.validate()
}

// run writes the objects.
func (o *stateOptions) run(ctx context.Context, args []string) error {
	return o.withSession(ctx, func(s *session) error {
		if o.allNamespaces {
			s.namespace = history.AllNamespaces
		}
		if err := o.resolveMoments(ctx, s, o.location, &o.at); err != nil {
			return err
		}
		subjects, err := s.subjects(ctx, args)
		if err != nil {
			return err
		}
		found, err := s.state(ctx, s.stateQueries(subjects, o.at.time))
		if err != nil {
			return err
		}
		if o.at.time.IsZero() {
			o.at.time = found.at
		}
		missing := o.missing(ctx, s, subjects, found)
		objects := o.selected(found.objects)
		if err := o.show(ctx, s, subjects, objects); err != nil {
			return err
		}
		if len(objects) == 0 && missing == nil {
			o.env.note("No objects found" + in(s.namespace) + " at " + o.clock(o.at.time) + ".")
		}
		for i := range found.pages {
			o.notePage(&found.pages[i])
		}
		return missing
	})
}

// clock returns a time of day in the zone of the output, with its date if that
// is not today.
func (o *stateOptions) clock(t time.Time) string {
	return clock(t.In(o.location), o.env.recorderNow().In(o.location))
}

// missing returns the error for the first named object that did not exist.
func (o *stateOptions) missing(ctx context.Context, s *session, subjects []subject, found *stateResult) error {
	for _, sub := range subjects {
		exists := func(other *restore.Object) bool {
			return other.GVR.GroupResource() == sub.GroupResource() && other.Name == sub.name
		}
		if sub.name == "" || slices.ContainsFunc(found.objects, exists) {
			continue
		}
		return s.didNotExist(ctx, &o.env, sub, o.clock(o.at.time))
	}
	return nil
}

// didNotExist returns the error for an object that did not exist at a time.
func (s *session) didNotExist(ctx context.Context, env *Environment, sub subject, at string) error {
	if known, err := s.hasHistory(ctx, sub, ""); err == nil && !known {
		return s.noHistory(ctx, env, sub, "")
	}
	namespace := sub.namespaceOf(s.namespace)
	return history.WithHint(history.Errorf(history.NotFound, "%s%s did not exist at %s", sub, in(namespace), at),
		sub.versionsHint(env, namespace))
}

// selected returns the objects with the labels of --selector.
func (o *stateOptions) selected(objects []*restore.Object) []*restore.Object {
	return slices.DeleteFunc(slices.Clone(objects), func(object *restore.Object) bool {
		return !o.labels.Matches(labels.Set(textsAt(object.Body, "metadata", "labels")))
	})
}

// show writes the objects in the format of --output.
func (o *stateOptions) show(ctx context.Context, s *session, subjects []subject, objects []*restore.Object) error {
	switch {
	case o.isTable():
		rows, err := o.rows(ctx, s, subjects, objects)
		if err != nil {
			return err
		}
		return o.printer(&o.env, o.allNamespaces, false).State(rows, o.at.time)
	case o.format == "name":
		return o.printer(&o.env, o.allNamespaces, false).Names(names(objects))
	}
	refused := 0
	if o.strip {
		objects, refused = o.stripped(objects, len(subjects) == 0)
	}
	bodies := make([]any, len(objects))
	for i := range objects {
		bodies[i] = objects[i].Body
	}
	one := len(subjects) == 1 && subjects[0].name != ""
	if err := o.writeObjects(bodies, one); err != nil {
		return err
	}
	if refused > 0 {
		return history.Errorf(history.Invalid, "%s can't be brought back: only hashes of values are recorded",
			plural(refused, "object"))
	}
	return nil
}

// writeObjects writes objects for programs: as a v1 List or, if one object was
// named, that object.
func (o *stateOptions) writeObjects(bodies []any, one bool) error {
	document := any(map[string]any{
		"apiVersion": "v1", "kind": "List", "metadata": map[string]any{"resourceVersion": ""}, "items": bodies,
	})
	if one && len(bodies) == 1 {
		document = bodies[0]
	} else if one {
		return nil // it did not exist, or can't be printed
	}
	p := o.printer(&o.env, false, false)
	switch o.format {
	case "json":
		return p.JSON(document)
	case "yaml":
		return p.YAML(document)
	default:
		return o.writeTemplate(&o.env, document)
	}
}

// stripped returns manifests of objects, in the order in which they are
// applied, and how many can't be brought back because of hashes. It leaves out
// objects that controllers make, if all of a namespace are printed.
func (o *stateOptions) stripped(objects []*restore.Object, all bool) (kept []*restore.Object, refused int) {
	derived := 0
	for _, object := range objects {
		if all && restore.IsDerived(object) {
			derived++
			continue
		}
		manifest.Strip(object.GVR.GroupResource(), object.Body)
		if keys := manifest.DropHashes(object.Body); len(keys) > 0 {
			refused++
			o.env.note(fmt.Sprintf("%s can't be brought back: only hashes are recorded of %s",
				object, strings.Join(keys, ", ")))
			continue
		}
		kept = append(kept, object)
	}
	if derived > 0 {
		o.env.note(fmt.Sprintf("%s that controllers make %s left out; a type includes %s.",
			plural(derived, "object"), are(derived), them(derived)))
	}
	slices.SortStableFunc(kept, func(a, b *restore.Object) int {
		return cmp.Compare(manifest.Rank(a.GVR.GroupResource()), manifest.Rank(b.GVR.GroupResource()))
	})
	return kept, refused
}

// names returns objects as records, for their names.
func names(objects []*restore.Object) []v1.Event {
	events := make([]v1.Event, len(objects))
	for i, o := range objects {
		events[i] = v1.Event{
			Group: o.GVR.Group, ResourceType: o.GVR.Resource, Kind: o.Kind, Namespace: o.Namespace,
			ResourceName: o.Name, UID: o.UID(),
		}
	}
	return events
}

// Bounds of the search for the last changes of objects: the newest records that
// are read, and the objects whose changes are read one by one.
const (
	lastChanges = 1000
	lastSingles = 20
)

// rows returns the rows of the table.
func (o *stateOptions) rows(
	ctx context.Context, s *session, subjects []subject, objects []*restore.Object,
) ([]render.StateRow, error) {
	rows := make([]render.StateRow, len(objects))
	index := map[restore.Key]int{}
	all := names(objects)
	for i, object := range objects {
		rows[i] = render.StateRow{Object: all[i]}
		rows[i].Created, _ = time.Parse(time.RFC3339, textAt(object.Body, "metadata", "creationTimestamp"))
		index[object.Key()] = i
	}
	get := getOptions{}
	for _, q := range get.queries(s, subjects) {
		q.End, q.Order, q.Summary, q.Limit = o.at.time.Add(1), history.NewestFirst, true, lastChanges
		for _, classes := range [][]history.Class{{history.Root}, nil} {
			q.Classes = classes
			if err := o.takeLast(ctx, s, q, index, rows); err != nil {
				return nil, err
			}
		}
	}
	singles := 0
	for i := range rows {
		if rows[i].Last != nil {
			continue
		}
		if singles++; singles > lastSingles {
			continue
		}
		object := objects[i]
		q := client.EventsQuery{
			Namespace: history.ScopeOf(object.Namespace), Name: object.Name,
			Resources: []string{object.GVR.GroupResource().String()},
			End:       o.at.time.Add(1), Order: history.NewestFirst, Summary: true, Limit: 1,
		}
		if err := o.takeLast(ctx, s, q, index, rows); err != nil {
			return nil, err
		}
	}
	if singles > lastSingles {
		o.env.note(fmt.Sprintf("The last changes of %s are not shown, because others changed much since: a type or a "+
			"name shows them.", plural(singles-lastSingles, "object")))
	}
	return rows, nil
}

// takeLast sets the last change of rows that have none yet, from the newest
// records of a query.
func (o *stateOptions) takeLast(
	ctx context.Context, s *session, q client.EventsQuery, index map[restore.Key]int, rows []render.StateRow,
) error {
	page, err := s.Events(ctx, q)
	if report.IsUnknownType(err) {
		return nil
	}
	if err != nil {
		return err
	}
	for n := range page.Events {
		e := &page.Events[n]
		key := restore.Key{
			Resource:  schema.GroupResource{Group: e.Group, Resource: e.ResourceType},
			Namespace: e.Namespace, Name: e.ResourceName,
		}
		if i, shown := index[key]; shown && rows[i].Last == nil {
			rows[i].Last = e
		}
	}
	return nil
}

// textAt returns the text at a path of a decoded object, or "".
func textAt(value any, path ...string) string {
	for _, field := range path {
		object, _ := value.(map[string]any)
		value = object[field]
	}
	text, _ := value.(string)
	return text
}

// textsAt returns the texts of the object at a path of a decoded object.
func textsAt(value any, path ...string) map[string]string {
	for _, field := range path {
		object, _ := value.(map[string]any)
		value = object[field]
	}
	texts := map[string]string{}
	object, _ := value.(map[string]any)
	for name := range object {
		texts[name] = textAt(object, name)
	}
	return texts
}
