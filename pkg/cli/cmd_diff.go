package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/render"
	"github.com/watchhistory/watchhistory/pkg/report"
)

// diffOptions are the options of diff, which shows what differs between two
// times.
type diffOptions struct {
	*connection
	output

	from, to      endpoint
	diff          string
	uid           string
	allNamespaces bool
	stat, patch   bool
	reverse       bool // manifests that bring the earlier state back
	all           bool // also what follows from other changes
	showNoise     bool
	exitCode      bool
}

// endpoint is a flag with a time or, for one object, a revision.
type endpoint struct {
	moment

	ref reference
}

// addFlag adds the flag.
func (e *endpoint) addFlag(fs *pflag.FlagSet, name, usage string) {
	e.flag = "--" + name
	fs.StringVar(&e.text, name, "", usage+": "+timeForms+"; for one object, a revision like '#14' or '#-2'.")
}

// complete parses the value, relative to now and in its location.
func (e *endpoint) complete(now time.Time) (err error) {
	number, isRevision := strings.CutPrefix(e.text, "#")
	if !isRevision {
		e.ref = reference{}
		if err := e.moment.complete(now); err != nil || !e.isSet() {
			return err
		}
		e.ref.at = e.moment
		return nil
	}
	if e.ref.revision, err = strconv.Atoi(number); err != nil || e.ref.revision == 0 {
		return invalidf("%s %q is not a revision: want a number as in #14, or #-1 for the newest", e.flag, e.text)
	}
	return nil
}

func newDiff(conn *connection) *cobra.Command {
	o := &diffOptions{connection: conn}
	cmd := &cobra.Command{
		Use:   "diff [TYPE[,TYPE ...] | TYPE NAME | TYPE/NAME[#REVISION | @TIME]] --from TIME [--to TIME]",
		Short: "Show what differs between two times, for an object or a namespace",
		Long: paragraphs(`
			Show what differs between two times or revisions.

			For one object, it is a diff. For a namespace or some types, it is a line for each object:
			M if it was changed, D if it was deleted, A if it was created, and = if it changed in between
			and is as it was, except for its status or a restart. Who made the changes follows in
			parentheses. The last line counts them, and the objects that are as they were at the earlier
			time. Objects with an owner, such as pods, are not counted. -p shows the diffs.

			-R prints manifests that bring the earlier state back, for kubectl apply. What was deleted is
			included. What was created since is not deleted: a comment has the command. An object of
			which only hashes of values are recorded, such as most Secrets, is not printed: its keys are
			named on stderr, and the command fails.

			Differences that only follow from other changes, such as those of pods and of statuses, are
			counted and not shown. --all shows them. The formats json, yaml and templates print all
			differences as the REST API returns them.`),
		Example: examples(conn.env, `
			# What is different from an hour ago in the namespace shop?
			watchhistory diff -n shop --from 1h

			# What changed last night in all Deployments and ConfigMaps, with the diffs
			watchhistory diff deploy,cm -A --from 'yesterday 22:00' --to 6:00 -p

			# One object between two times, and between two revisions
			watchhistory diff deploy/web -n shop --from 12:30 --to 13:00
			watchhistory diff deploy/web -n shop --from '#4' --to '#8'

			# Bring back how everything in the namespace was at 12:30
			watchhistory diff -n shop --from 12:30 -R | kubectl apply -f -

			# What is different from before a change
			watchhistory diff -n shop --from deploy/web#11

			# Is the Deployment as it was in revision 4?
			watchhistory diff deploy/web#4 -n shop --exit-code`),
		ValidArgsFunction: conn.completeMany,
		RunE:              runE(o),
	}
	fs := cmd.Flags()
	o.from.addFlag(fs, "from", "The earlier time")
	o.to.addFlag(fs, "to", "The later time (default: now)")
	fs.BoolVarP(&o.allNamespaces, "all-namespaces", "A", false,
		"Compare all namespaces, including cluster-scoped objects.")
	fs.BoolVar(&o.stat, "stat", false, "Show a line for each object. This is the default unless there is only one.")
	fs.BoolVarP(&o.patch, "patch", "p", false, "Show the diff of each object. This is the default for one object.")
	fs.BoolVarP(&o.reverse, "reverse", "R", false,
		"Print manifests that bring the earlier state back, for kubectl apply -f -.")
	fs.BoolVar(&o.all, "all", false, "Also show differences that only follow from other changes.")
	fs.StringVar(&o.uid, "uid", "", "Only compare the object with this UID.")
	addDiffFlag(cmd, &o.diff, "", diffStructural)
	addNoiseFlag(cmd, &o.showNoise)
	addExitCodeFlag(cmd, &o.exitCode)
	o.output.addFlags(cmd)
	_ = cmd.RegisterFlagCompletionFunc("uid", conn.completeUIDs)
	return cmd
}

// complete parses the flags.
func (o *diffOptions) complete() error {
	if err := o.output.complete(); err != nil {
		return err
	}
	now := o.env.Now().In(o.location)
	if err := o.from.complete(now); err != nil {
		return err
	}
	return o.to.complete(now)
}

// validate rejects invalid flags.
func (o *diffOptions) validate() error {
	if err := validateDiff(o.diff); err != nil {
		return err
	}
	if o.reverse && (o.format != "" || o.stat || o.patch || o.all) {
		return invalidf("--reverse can't be combined with --output, --stat, --patch or --all")
	}
	return o.output.validate()
}

// run writes what differs. With --exit-code, it returns [errFound] if anything
// does.
func (o *diffOptions) run(ctx context.Context, args []string) error {
	object, err := o.parse(args)
	if err != nil {
		return err
	}
	shown := 0
	err = o.withSession(ctx, func(s *session) error {
		if o.allNamespaces {
			s.namespace = history.AllNamespaces
		}
		if object == nil {
			shown, err = o.runMany(ctx, s, args)
			return err
		}
		resolved, err := s.types.resolve(ctx, object.kind)
		if err != nil {
			return err
		}
		shown, err = o.runOne(ctx, s, subject{resolved, object.name})
		return err
	})
	if err == nil && o.exitCode && shown > 0 {
		return errFound
	}
	return err
}

// parse returns the object of the arguments, or nil if they are not one object.
// A reference after its name is the value of --from.
func (o *diffOptions) parse(args []string) (*objectArg, error) {
	many, err := parseMany(args)
	if err != nil {
		return nil, err
	}
	const required = "Give a time, as in --from 12:30 or --from 1h."
	if len(many) != 1 || many[0].name == "" {
		for _, e := range []*endpoint{&o.from, &o.to} {
			if e.ref.revision != 0 {
				return nil, withAdvice(required, "%s %s is a revision: want one object, as TYPE/NAME", e.flag, e.text)
			}
		}
		if !o.from.isSet() {
			return nil, withAdvice(required, "--from is required")
		}
		return nil, nil
	}
	object, err := parseObject(args)
	switch {
	case err != nil:
		return nil, err
	case object.ref.isSet() && o.from.isSet():
		return nil, withAdvice("Leave out one of them.",
			"--from can't be combined with a revision or a time after the name")
	case object.ref.isSet():
		o.from.ref = object.ref
	case !o.from.isSet():
		return nil, withAdvice("Give a time, as in --from 1h, or a revision, as in --from '#-2'.", "--from is required")
	}
	return &object, nil
}

// runMany writes what differs in a namespace, and returns the number of
// differences that it wrote.
func (o *diffOptions) runMany(ctx context.Context, s *session, args []string) (shown int, err error) {
	if err := o.resolveMoments(ctx, s, o.location, &o.from.moment, &o.to.moment); err != nil {
		return 0, err
	}
	if to := o.to.time; !to.IsZero() && !o.from.time.Before(to) {
		return 0, o.reversed(o.from.time.Format(time.RFC3339), to.Format(time.RFC3339))
	}
	subjects, err := s.subjects(ctx, args)
	if err != nil {
		return 0, err
	}
	lean := o.isLean()
	var queries []client.CompareQuery
	get := getOptions{}
	for _, q := range get.queries(s, subjects) {
		queries = append(queries, client.CompareQuery{
			From: o.from.time, To: o.to.time, Namespace: q.Namespace, Resources: q.Resources, Name: q.Name, UID: o.uid,
			Summary: lean, Count: true,
		})
	}
	found, err := report.Compare(ctx, s.Client, queries)
	if err != nil {
		return 0, err
	}
	stats, hidden := found.Stats(o.all)
	p := o.printer(&o.env, o.allNamespaces, o.showNoise)
	if shown, err = o.writeMany(ctx, s, p, found, stats); err != nil {
		return 0, err
	}
	if len(stats) == 0 && o.isTable() {
		o.env.note("No differences found" + in(s.namespace) + ".")
	}
	if o.isTable() {
		from := clock(found.From.In(o.location), o.env.recorderNow().In(o.location))
		o.env.note(render.InitialNote(found.Existed, from))
	}
	if text, n := report.HiddenTypes(hidden); n > 0 && lean {
		o.env.note(fmt.Sprintf("%s that only %s from other changes %s hidden (%s); --all shows %s.",
			plural(n, "difference"), follow(n), are(n), text, them(n)))
	}
	for i := range found.Pages {
		o.notePage(&found.Pages[i])
	}
	return shown, nil
}

// writeMany writes differences in the format of --output, and returns their
// number.
func (o *diffOptions) writeMany(
	ctx context.Context, s *session, p *render.Printer, found *report.Comparison, stats []render.Stat,
) (shown int, err error) {
	var names []v1.Event
	for i := range stats {
		if d := &stats[i].Difference; stats[i].Mark != render.StatSame {
			shown++
			names = append(names, v1.Event{
				Group: d.Group, ResourceType: d.ResourceType, Kind: d.Kind, Namespace: d.Namespace,
				ResourceName: d.ResourceName,
			})
		}
	}
	if o.reverse {
		return o.writeReverse(ctx, s, p, found, stats)
	}
	switch o.format {
	case "name":
		return shown, p.Names(names)
	case "", "wide":
		if o.stat || !o.patch {
			if err := p.Stats(stats, found.From, found.Existed); err != nil {
				return 0, err
			}
		}
		if o.patch {
			return shown, o.writePatches(ctx, s, p, stats)
		}
		return shown, nil
	}
	document := found.Comparison
	document.Differences = []v1.Difference{}
	for i := range found.Differences {
		if d := found.Differences[i]; !d.Noise || o.showNoise {
			document.Differences = append(document.Differences, d)
		}
	}
	return len(document.Differences), o.writeComparison(p, &document)
}

// writeComparison writes a comparison for programs.
func (o *diffOptions) writeComparison(p *render.Printer, document *v1.Comparison) error {
	switch o.format {
	case "json":
		return p.JSON(document)
	case "yaml":
		return p.YAML(document)
	default:
		return o.writeTemplate(&o.env, document)
	}
}

// writePatches writes the diff of each object that differs.
func (o *diffOptions) writePatches(ctx context.Context, s *session, p *render.Printer, stats []render.Stat) error {
	d := diffWriter{env: &o.env, printer: p, unified: o.diff == diffUnified}
	for i := range stats {
		if stats[i].Mark == render.StatSame {
			continue
		}
		of := &stats[i].Difference
		v := newVersions(s, &o.env, subject{
			resourceType{Group: of.Group, Plural: of.ResourceType, Namespaced: of.Namespace != ""}, of.ResourceName,
		}, "")
		before, err := v.one(ctx, of.Namespace, firstText(of.PreviousUID, of.UID), of.FromRevision)
		if err != nil {
			return err
		}
		after, err := v.one(ctx, of.Namespace, of.UID, of.ToRevision)
		if err != nil {
			return err
		}
		if after == nil { // the deletion was not observed
			continue
		}
		write := func() error { return d.write(before, after) }
		if of.Change == "created" {
			write = func() error { return d.writeCreated(after) }
		}
		if err := write(); err != nil {
			return err
		}
	}
	d.noteHidden()
	return nil
}

// one returns a revision of an incarnation, or nil if it is not in the history.
func (v *versions) one(ctx context.Context, namespace, uid string, revision uint64) (*v1.Event, error) {
	if revision == 0 {
		return nil, nil
	}
	found, err := v.exactly(ctx, history.ScopeOf(namespace), uid, revision)
	return found[revision], err
}

// runOne writes the diff of an object, and returns the number of differences.
func (o *diffOptions) runOne(ctx context.Context, s *session, sub subject) (shown int, err error) {
	if err := o.resolveMoments(ctx, s, o.location, &o.from.ref.at, &o.to.ref.at); err != nil {
		return 0, err
	}
	to := newVersions(s, &o.env, sub, o.uid)
	after, err := to.version(ctx, &o.to.ref)
	if err != nil {
		return 0, err
	}
	before, err := o.earlier(ctx, newVersions(s, &o.env, sub, o.uid), after)
	if err != nil {
		return 0, err
	}
	if before != nil && before.Timestamp.After(after.Timestamp) {
		return 0, o.reversed(fmt.Sprintf("#%d", before.Revision), fmt.Sprintf("#%d", after.Revision))
	}
	gaps, err := to.gapsBetween(ctx, before, after)
	if err != nil {
		return 0, err
	}
	p := o.printer(&o.env, false, o.showNoise)
	switch {
	case before != nil && before.UID == after.UID && before.Revision == after.Revision:
		o.env.note(fmt.Sprintf("No differences found: both are revision %d.", after.Revision))
		if o.isTable() || o.format == "name" {
			break
		}
		err = o.writeComparison(p, &v1.Comparison{
			From: before.Timestamp, To: after.Timestamp, Differences: []v1.Difference{},
		})
	case o.isTable() && !o.stat && !o.reverse:
		shown, err = o.writeOne(p, before, after)
	default:
		shown, err = o.compareOne(ctx, s, p, sub, before, after)
	}
	if err != nil {
		return 0, err
	}
	o.env.note(gapsNote(len(gaps), true, ""))
	return shown, nil
}

// earlier returns the version of --from. It returns nil if the object did not
// exist then. If it existed and was first observed later, earlier returns its
// first version.
func (o *diffOptions) earlier(ctx context.Context, v *versions, after *v1.Event) (*v1.Event, error) {
	before, err := v.version(ctx, &o.from.ref)
	if at := o.from.ref.at; at.isSet() && history.CodeOf(err) == history.NotFound {
		text := func(t time.Time) string { return clock(t.In(o.location), o.env.recorderNow().In(o.location)) }
		first, err := v.one(ctx, after.Namespace, after.UID, 1)
		if err != nil {
			return nil, err
		}
		if first != nil && first.Initial && !creationOf(first).After(at.time) {
			o.env.note("It was first observed at " + text(first.Timestamp) + ": that version is compared.")
			return first, nil
		}
		o.env.note("It was not recorded before " + text(at.time) + ".")
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	isSame := before.UID == after.UID && before.Revision == after.Revision
	if before.Verb == history.Delete.String() && !isSame {
		o.env.note(fmt.Sprintf("It did not exist: an earlier object with that name was deleted at %s.",
			clock(before.Timestamp.In(o.location), o.env.recorderNow().In(o.location))))
		return nil, nil
	}
	return before, nil
}

// creationOf returns when a version's object was created. It is zero if that is
// not known.
func creationOf(e *v1.Event) time.Time {
	var object metav1.PartialObjectMetadata
	if json.Unmarshal(e.ObjectChanges, &object) != nil {
		return time.Time{}
	}
	return object.CreationTimestamp.Time
}

// writeOne writes the diff of two versions.
func (o *diffOptions) writeOne(p *render.Printer, before, after *v1.Event) (shown int, err error) {
	d := diffWriter{env: &o.env, printer: p, unified: o.diff == diffUnified}
	if before != nil && before.UID != after.UID {
		o.env.note("The object was deleted and created again in between.")
	}
	if at := o.from.ref.at; before == nil && at.isSet() && creationOf(after).After(at.time) {
		err = d.writeCreated(after)
	} else {
		err = d.write(before, after)
	}
	if err != nil {
		return 0, err
	}
	d.noteHidden()
	if after.Verb == history.Delete.String() {
		return 1, nil
	}
	return d.shown, nil
}

// compareOne writes the difference of two versions as a line or for programs.
func (o *diffOptions) compareOne(
	ctx context.Context, s *session, p *render.Printer, sub subject, before, after *v1.Event,
) (shown int, err error) {
	q := client.CompareQuery{
		From: o.from.ref.at.time, To: after.Timestamp, Namespace: history.ScopeOf(after.Namespace),
		Resources: []string{sub.resourceArg()}, Name: sub.name, UID: o.uid, Summary: o.isLean(),
	}
	if before != nil {
		q.From = before.Timestamp
	}
	found, err := report.Compare(ctx, s.Client, []client.CompareQuery{q})
	if err != nil {
		return 0, err
	}
	stats, _ := found.Stats(true)
	return o.writeMany(ctx, s, p, found, stats)
}

// reversed returns the error for times in the wrong order.
func (o *diffOptions) reversed(from, to string) error {
	return withAdvice("Exchange them.", "--from (%s) is not before --to (%s)", from, to)
}
