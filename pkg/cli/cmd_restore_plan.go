package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/render"
	"github.com/watchhistory/watchhistory/pkg/restore"
)

// carryOut writes the plan. With --yes it does it; otherwise it writes what the
// API server's dry run shows. Whether a volume may be released is always
// checked first: an administrator may have to do that.
func (r *restoration) carryOut(ctx context.Context, plan *restore.Plan) error {
	for _, s := range plan.Steps {
		if r.cluster == nil || r.yes && s.Action != restore.Release {
			continue
		}
		r.cluster.Check(ctx, s)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	for _, s := range plan.Steps {
		if s.Err != nil && !isAPIError(s.Err) && !isOwnError(s.Err) {
			return unreachable(s.Err)
		}
	}
	isText := r.document.format == ""
	p := r.printer(&r.env, false, false)
	if isText {
		if err := p.Plan(r.heading, r.rows(plan)); err != nil {
			return err
		}
		r.advise(plan)
	}
	if r.yes {
		failed := r.apply(ctx, plan)
		if err := r.writeDocument(plan); err != nil {
			return err
		}
		return failed
	}
	if err := r.writeDocument(plan); err != nil {
		return err
	}
	for _, s := range plan.Steps {
		if s.Action != restore.Update || s.Err != nil || !isText {
			continue
		}
		before, after := s.Changes()
		if err := p.ObjectDiff(render.KindName(s.Kind, s.Name), before, after); err != nil {
			return err
		}
	}
	return r.conclude(plan)
}

// conclude writes what a dry run means, and returns the error for steps that
// can't be done.
func (r *restoration) conclude(plan *restore.Plan) error {
	unchecked := 0
	var failed []*restore.Step
	for _, s := range plan.Steps {
		if s.Unchecked {
			unchecked++
		}
		if cannot(s) {
			failed = append(failed, s)
		}
	}
	if unchecked > 0 {
		r.env.note(fmt.Sprintf("%s can't be validated before the namespace or the type exists.",
			plural(unchecked, "object")))
	}
	creates, updates, releases := plan.Count(restore.Create), plan.Count(restore.Update), plan.Count(restore.Release)
	switch {
	case releases > 0:
		r.env.note(fmt.Sprintf("Nothing was changed. --yes creates %s, updates %d and releases %s.",
			plural(creates, "object"), updates, plural(releases, "volume")))
	case creates+updates > 0:
		r.env.note(fmt.Sprintf("Nothing was changed. --yes creates %s and updates %d.",
			plural(creates, "object"), updates))
	case len(failed) == 0:
		r.env.note("Nothing to do: " + r.sameText(plan) + ".")
	}
	if len(failed) > 0 {
		return history.WithHint(history.Errorf(history.Invalid, "%s", failedText(failed)),
			"The lines with "+render.PlanCannot+" have the reasons.")
	}
	return nil
}

// advise writes what to do about steps that can't be done. It is not part of
// the plan, which may break lines: commands are copied.
func (r *restoration) advise(plan *restore.Plan) {
	for _, s := range plan.Steps {
		advice := ""
		switch {
		case s.Err != nil:
			_, advice = r.explain(s, s.Err)
		case s.Action == restore.Refuse:
			_, advice = refusal(s)
		}
		for line := range strings.Lines(advice) {
			r.env.note(render.KindName(s.Kind, s.Name) + ": " + strings.TrimSuffix(line, "\n"))
		}
	}
}

// cannot reports whether a step can't be done, although it should be.
func cannot(s *restore.Step) bool { return s.Err != nil || s.Action == restore.Refuse }

// namesInText is how many names of objects an error has.
const namesInText = 3

// failedText names what can't be brought back: objects and, separately, volumes
// that can't be released.
func failedText(steps []*restore.Step) string {
	var objects, volumes []string
	for _, s := range steps {
		to := &objects
		if s.Action == restore.Release {
			to = &volumes
		}
		*to = append(*to, render.KindName(s.Kind, s.Name))
	}
	var parts []string
	for _, of := range []struct {
		names      []string
		noun, what string
	}{{objects, "object", "brought back"}, {volumes, "volume", "released"}} {
		n := len(of.names)
		if n == 0 {
			continue
		}
		names := strings.Join(of.names[:min(n, namesInText)], ", ")
		if n > namesInText {
			names += fmt.Sprintf(" and %d more", n-namesInText)
		}
		parts = append(parts, fmt.Sprintf("%s can't be %s: %s", plural(n, of.noun), of.what, names))
	}
	return strings.Join(parts, "; ")
}

// sameText describes a plan that has nothing to do.
func (r *restoration) sameText(plan *restore.Plan) string {
	n := plan.Count(restore.None)
	if n == 1 {
		return "1 object is as it was"
	}
	return fmt.Sprintf("%d objects are as they were", n)
}

// rows returns the rows of a plan.
func (r *restoration) rows(plan *restore.Plan) (rows []render.PlanRow) {
	var skipped []string // reasons
	byReason := map[string][][2]string{}
	same := 0
	for _, s := range plan.Steps {
		row := render.PlanRow{Name: render.KindName(s.Kind, s.Name)}
		switch {
		case s.Err != nil:
			text, _ := r.explain(s, s.Err)
			row.Mark, row.Text = render.PlanCannot, []string{text}
		case s.Action == restore.Refuse:
			text, _ := refusal(s)
			row.Mark, row.Text = render.PlanCannot, []string{text}
		case s.Action == restore.Skip:
			if byReason[s.Reason] == nil {
				skipped = append(skipped, s.Reason)
			}
			byReason[s.Reason] = append(byReason[s.Reason], [2]string{s.Kind, s.Name})
			continue
		case s.Action == restore.None:
			same++
			continue
		default:
			row.Mark, row.Text = planMark(s.Action), r.text(s)
		}
		rows = append(rows, row)
	}
	if same > 0 {
		text := "as they were"
		if same == 1 {
			text = "as it was"
		}
		rows = append(rows, render.PlanRow{Mark: render.PlanSame, Name: plural(same, "object"), Text: []string{text}})
	}
	for _, reason := range skipped {
		rows = append(rows, render.PlanRow{
			Mark: render.PlanSkip, Name: plural(len(byReason[reason]), "object"),
			Text: []string{reason + ": " + render.Kinds(byReason[reason])},
		})
	}
	for _, o := range r.createdSince() {
		rows = append(rows, render.PlanRow{
			Mark: render.PlanKeep, Name: render.KindName(o.Kind, o.Name),
			Text: []string{"created since: " + deleteCommand(o.GVR.GroupResource(), o.Namespace, o.Name)},
		})
	}
	if len(r.unknown) > 0 {
		rows = append(rows, render.PlanRow{
			Mark: render.PlanUnknown, Name: plural(len(r.unknown), "type"),
			Text: []string{"not recorded: " + strings.Join(r.unknown, ", ")},
		})
	}
	return rows
}

// planMark returns the mark of an action that changes the cluster.
func planMark(action restore.Action) string {
	switch action {
	case restore.Update:
		return render.PlanUpdate
	case restore.Release:
		return render.PlanRelease
	default:
		return render.PlanCreate
	}
}

// createdSince returns the objects of the namespace that were created since, in
// the order of their keys, except for those that controllers make.
func (r *restoration) createdSince() (created []*restore.Object) {
	if r.namespace == "" {
		return nil
	}
	then := restore.State{}
	for _, o := range r.objects {
		then[o.Key()] = o
	}
	for key, o := range r.now {
		if then[key] == nil && key.Namespace != "" && !restore.IsDerived(o) {
			created = append(created, o)
		}
	}
	slices.SortFunc(created, func(a, b *restore.Object) int { return strings.Compare(a.String(), b.String()) })
	return created
}

// refusal returns why an object with hashes can't be brought back, and how to
// set its values.
func refusal(s *restore.Step) (text, advice string) {
	var keys []string
	for _, path := range s.Hashed {
		keys = append(keys, strings.TrimPrefix(path, "data."))
	}
	text = "only hashes are recorded of " + strings.Join(keys, ", ")
	place := namespaceFlag(history.ScopeOf(s.Namespace))
	switch isSecret := s.Kind == "Secret" && s.GVR.Group == ""; {
	case s.Before != nil:
		return text, "Set the values yourself: kubectl edit " + s.GVR.GroupResource().String() + " " + s.Name + place
	case isSecret:
		command := "kubectl create secret generic " + s.Name + place
		if kind := textAt(s.Body, "type"); kind != "" && kind != "Opaque" {
			command += " --type=" + kind
		}
		return text, "Set the values yourself: " + command + " --from-literal=" +
			strings.Join(keys, "=VALUE --from-literal=") + "=VALUE"
	default:
		return text, "Set the values yourself."
	}
}

// text returns what is known about a step that can be done.
func (r *restoration) text(s *restore.Step) (lines []string) {
	if from := r.from[s.Key()]; from != "" {
		lines = append(lines, from)
	}
	if s.Action == restore.Release {
		lines = append(lines, releaseText(s))
	}
	switch address := textAt(s.Body, "spec", "clusterIP"); {
	case s.NewAddresses:
		lines = append(lines, "with a new address: "+firstText(address, "its node port")+" is in use")
	case s.Addressed != nil: // a dry run does not allocate addresses
		lines = append(lines, "with its address "+firstText(address, "and node port")+" if that is free")
	}
	if s.GVR.GroupResource() == restore.Definitions && !s.Named {
		lines = append(lines, "other objects need it")
	}
	return append(lines, s.Notes...)
}

// releaseText returns which claim a volume is released from.
func releaseText(s *restore.Step) string {
	return "was bound to the deleted claim " + s.Claim.Namespace + "/" + s.Claim.Name
}

// errNoNamespace is the error of objects whose namespace can't be created.
var errNoNamespace = errors.New("its namespace was not created")

// apply does the plan, and writes a line for each object that was changed.
func (r *restoration) apply(ctx context.Context, plan *restore.Plan) error {
	total, done, released := 0, 0, 0 // objects, without volumes
	var failed []*restore.Step
	for _, s := range plan.Steps {
		if s.Action != restore.Release && (s.Action.Writes() || cannot(s)) {
			total++
		}
	}
	broken := false // the namespace can't be created
	for _, s := range plan.Steps {
		switch {
		case !cannot(s) && !s.Action.Writes():
			continue
		case !cannot(s) && broken:
			s.Err = errNoNamespace
		}
		if cannot(s) {
			failed = append(failed, s)
			continue
		}
		changed, err := r.cluster.Apply(ctx, s)
		name := render.KindName(s.Kind, s.Name)
		if ctx.Err() != nil {
			r.results[s], r.interrupted = resultUnknown, true
			r.env.note(fmt.Sprintf("Interrupted: %d of %s restored. Whether %s was is not known. "+
				"Run the same command again to continue.", done, plural(total, "object"), name))
			return ctx.Err()
		}
		if err != nil {
			s.Err = err
			failed = append(failed, s)
			broken = s.GVR.GroupResource() == restore.Namespaces
			text, advice := r.explain(s, err)
			r.env.note("error: " + name + ": " + text)
			r.env.note(advice)
			continue
		}
		if s.Action == restore.Release {
			released++
		} else {
			done++
		}
		if r.results[s] = resultOf(s.Action); !changed {
			r.results[s] = resultUnchanged
			continue
		}
		if err := r.writeDone(s, name); err != nil {
			return err
		}
	}
	switch {
	case len(failed) > 0:
		text := failedText(failed)
		if done > 0 {
			text = fmt.Sprintf("%d of %s restored; %s", done, plural(total, "object"), text)
		}
		return history.WithHint(history.Errorf(history.Invalid, "%s", text),
			"Remove the causes, then run the same command again: it continues.")
	case total == 0 && released == 0:
		r.env.note("Nothing to do: " + r.sameText(plan) + ".")
	case total == 0:
		r.env.note(plural(released, "volume") + " released.")
	case released > 0:
		r.env.note(fmt.Sprintf("%s restored, %s released.", plural(done, "object"), plural(released, "volume")))
	default:
		r.env.note(fmt.Sprintf("%s restored.", plural(done, "object")))
	}
	return nil
}

// resultOf returns the result of an action that was done.
func resultOf(action restore.Action) string {
	switch action {
	case restore.Update:
		return resultUpdated
	case restore.Release:
		return resultReleased
	default:
		return resultCreated
	}
}

// writeDone writes that an object was changed, as kubectl does.
func (r *restoration) writeDone(s *restore.Step, name string) error {
	if r.document.format != "" {
		return nil
	}
	text := name + " " + resultOf(s.Action)
	if s.NewAddresses {
		text += " with a new address"
	}
	return r.printer(&r.env, false, false).Line(text)
}

// isAPIError reports whether an error is an answer of the API server.
func isAPIError(err error) bool {
	status := apierrors.APIStatus(nil)
	return errors.As(err, &status)
}

// isOwnError reports whether an error is one of package restore.
func isOwnError(err error) bool {
	return errors.Is(err, restore.ErrChanged) || errors.Is(err, restore.ErrBeingDeleted) ||
		errors.Is(err, restore.ErrNotServed) || errors.Is(err, restore.ErrOtherPolicy) ||
		errors.Is(err, restore.ErrLaterClaim)
}

// explain returns why a step can't be done, and what to do about it.
func (r *restoration) explain(s *restore.Step, err error) (text, advice string) {
	const again = "run the same command again."
	text = strings.Join(strings.Fields(err.Error()), " ")
	if s.Action == restore.Release {
		return text, r.releaseAdvice(s)
	}
	resource := s.GVR.GroupResource()
	verb := "create"
	if s.Action == restore.Update {
		verb = "update"
	}
	place := namespaceFlag(history.ScopeOf(s.Namespace))
	edit := "To change it before: " +
		r.env.command(fmt.Sprintf("state %s/%s%s --at TIME -o yaml --strip", resource, s.Name, place))
	switch {
	case errors.Is(err, restore.ErrChanged):
		return text, "To see what differs now, " + again
	case errors.Is(err, restore.ErrBeingDeleted):
		return text, fmt.Sprintf("Wait until it is gone (kubectl wait --for=delete %s/%s%s), then %s",
			resource, s.Name, place, again)
	case errors.Is(err, restore.ErrNotServed):
		return fmt.Sprintf("the server does not serve %s in version %s", resource, s.GVR.Version),
			"Install the type, or restore crd/" + resource.String() + " if it was one, then " + again
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return "namespace " + s.Namespace + " is being deleted", "Wait until it is gone " +
			"(kubectl wait --for=delete ns/" + s.Namespace + "), then restore ns/" + s.Namespace + "."
	case strings.Contains(text, "admission webhook"), strings.Contains(text, "ValidatingAdmissionPolicy"):
		return text, "A policy of the cluster rejects it as it was. " + edit
	case strings.Contains(text, "exceeded quota"):
		return text, "Raise the quota or delete something else, then " + again
	case apierrors.IsForbidden(err):
		return text, fmt.Sprintf("Someone with the right can run the command; see yours with: "+
			"kubectl auth can-i %s %s%s", verb, resource, place)
	case apierrors.IsInvalid(err) && s.Action == restore.Update:
		return text, fmt.Sprintf("Some fields can't be changed. To replace it: %s, then %s",
			deleteCommand(resource, s.Namespace, s.Name), again)
	case apierrors.IsInvalid(err):
		return text, edit
	case apierrors.IsNotFound(err) && strings.Contains(text, "namespaces"):
		return "namespace " + s.Namespace + " does not exist",
			"restore ns/" + s.Namespace + " brings it back with its objects, and kubectl create ns creates it."
	default:
		return text, "To try again, " + again
	}
}

// releaseAdvice returns how someone else can release the volume of a claim. The
// command does nothing if the volume names another claim by then.
func (r *restoration) releaseAdvice(s *restore.Step) string {
	uid := firstText(textAt(s.Before, "spec", "claimRef", "uid"), s.Claim.UID())
	const who = "An administrator can release it for the claim: "
	advice := fmt.Sprintf(`%skubectl patch pv %s --type=json -p `+
		`'[{"op":"test","path":"/spec/claimRef/uid","value":%q},{"op":"remove","path":"/spec/claimRef/uid"}]'`,
		who, s.Name, uid)
	if s.Before == nil { // it can't be read
		at := "TIME"
		if !r.at.IsZero() {
			at = r.at.UTC().Format(time.RFC3339Nano)
		}
		state := fmt.Sprintf("state pvc/%s -n %s --at %s -o yaml --strip", s.Claim.Name, s.Claim.Namespace, at)
		advice += "\nIf it does not exist, create the claim with a new volume: " + r.env.command(state) +
			" | kubectl create -f -"
	}
	return advice
}
