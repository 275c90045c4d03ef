package restore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
)

// Why a volume that was kept is not released.
var (
	// ErrOtherPolicy means that the volume is deleted without its claim.
	ErrOtherPolicy = errors.New("its reclaim policy is not Retain: it may be deleted")
	// ErrLaterClaim means that the volume was used since the recorded time.
	ErrLaterClaim = errors.New("a later claim of the same name was bound to it")
)

// volumes are the PersistentVolumes.
var volumes = schema.GroupVersionResource{ //nolint:gochecknoglobals // a constant
	Version: "v1", Resource: "persistentvolumes",
}

// bindClaim decides which volume a new claim has. A volume that the claim left
// may have its data, so the claim is bound to it again.
func (p *planner) bindClaim(ctx context.Context, s *Step) {
	name := text(s.Body, "spec", "volumeName")
	if name == "" {
		return
	}
	reason := p.findVolume(ctx, s, name)
	if reason != "" {
		delete(object(s.Manifest, "spec"), "volumeName")
		s.note("with a new volume: its volume %s %s", name, reason)
		return
	}
	object(s.Manifest, "spec")["volumeName"] = name
	if s.release != nil {
		s.note("bound to its volume %s once that is released", name)
	}
}

// findVolume reads the volume of a recorded claim, and prepares its release if
// it still names the deleted claim. It returns why the claim can't have it, or
// "". If the volume can't be read, it may exist, and the step of the release
// has the error: an application would start with an empty volume otherwise.
func (p *planner) findVolume(ctx context.Context, s *Step, name string) (reason string) {
	if len(validation.IsDNS1123Subdomain(name)) > 0 {
		return "does not exist" // no volume can have this name
	}
	release := &Step{
		Object: Object{GVR: volumes, Kind: "PersistentVolume", Name: name}, Action: Release, Claim: &s.Object,
	}
	live, err := p.reader.Get(ctx, &release.Object)
	reserved := object(live, "spec", "claimRef")
	isOurs := reserved == nil || reserved["namespace"] == s.Namespace && reserved["name"] == s.Name
	switch {
	case err != nil:
		release.Err = err
	case live == nil:
		return "does not exist any more"
	case !isOurs || IsBeingDeleted(live):
		return "is in use or being deleted"
	case text(reserved, "uid") == "":
		return ""
	case !release.names(live):
		release.Err = ErrLaterClaim
	case at(live, "spec", "persistentVolumeReclaimPolicy") != "Retain":
		release.Err = ErrOtherPolicy
	}
	release.Before = live
	s.release = release
	return ""
}

// continueRelease prepares the release of the volume for which a claim waits
// that was restored before.
func (p *planner) continueRelease(ctx context.Context, s *Step, live map[string]any) {
	name := text(s.Body, "spec", "volumeName")
	if name == "" || text(live, "spec", "volumeName") != name || text(live, "status", "phase") != "Pending" {
		return
	}
	if reason := p.findVolume(ctx, s, name); reason != "" {
		s.note("its volume %s %s", name, reason)
	}
}

// names reports whether a volume still names exactly the deleted claim of the
// step.
func (s *Step) names(volume map[string]any) bool {
	reserved := object(volume, "spec", "claimRef")
	return s.Claim.UID() != "" && reserved["uid"] == s.Claim.UID() &&
		reserved["namespace"] == s.Claim.Namespace && reserved["name"] == s.Claim.Name
}

// release removes the UID of the deleted claim from a volume, in the version in
// which it named that claim. It stays reserved for a claim of the same name.
func (c *Cluster) release(ctx context.Context, s *Step, dryRun []string) (after map[string]any, err error) {
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"resourceVersion": text(s.Before, "metadata", "resourceVersion")},
		"spec":     map[string]any{"claimRef": map[string]any{"uid": nil}},
	})
	if err != nil {
		return nil, fmt.Errorf("encode patch of %s: %w", s.Name, err)
	}
	return bodyOf(c.client.Resource(volumes).Patch(ctx, s.Name, types.MergePatchType, patch,
		metav1.PatchOptions{DryRun: dryRun, FieldManager: FieldManager}))
}
