package apiserver

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/discovery"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// Served has the resources that one discovery found. In each group, the
// resources of the preferred version come first.
type Served struct {
	Watchable []history.Resource
	// ListOnly are the resources that can be listed but not watched.
	ListOnly []history.Resource
}

// Discovery is the answer of one discovery, in the form of the documents below
// /api and /apis.
type Discovery struct {
	// Groups are the API groups, in the API server's order. The core group is
	// the first. They include the group versions that failed.
	Groups []metav1.APIGroup
	// Resources are the resources of the group versions that were discovered,
	// in the order of their names.
	Resources map[schema.GroupVersion]*metav1.APIResourceList
	// Failed has the errors of the group versions that are served and could not
	// be discovered.
	Failed map[schema.GroupVersion]error
}

// Keep adds the resources of an earlier discovery in the group versions that
// this one could not discover. err is the error of this discovery. If it is not
// that of some groups, all group versions failed.
func (s *Served) Keep(before Served, err error) {
	if err == nil {
		return
	}
	failed, partial := discovery.GroupDiscoveryFailedErrorGroups(err)
	discovered := func(r history.Resource) bool {
		_, failed := failed[schema.GroupVersion{Group: r.Group, Version: r.Version}]
		return partial && !failed
	}
	s.Watchable = append(s.Watchable, slices.DeleteFunc(slices.Clone(before.Watchable), discovered)...)
	s.ListOnly = append(s.ListOnly, slices.DeleteFunc(slices.Clone(before.ListOnly), discovered)...)
}

// Resources returns all resources that can be listed, and the whole discovery.
// If some groups could not be discovered, it returns the others together with
// an error. If there was no discovery, it has no groups.
func (c *Client) Resources(ctx context.Context) (Served, Discovery, error) {
	defer c.Immediate()()
	client := discovery.ToDiscoveryInterfaceWithContext(c.discovery)
	groups, lists, err := discovery.ServerGroupsAndResourcesWithContext(ctx, client)
	if of, ok := errors.AsType[*url.Error](err); ok {
		err = networkError(of)
	} else if err != nil {
		err = fmt.Errorf("discover resources: %w", err)
	}
	byVersion := make(map[string][]metav1.APIResource, len(lists))
	for _, l := range lists {
		byVersion[l.GroupVersion] = l.APIResources
	}
	var found Served
	for _, g := range groups {
		for _, version := range preferredFirst(g) {
			gv := schema.GroupVersion{Group: g.Name, Version: version}
			found.add(gv, byVersion[gv.String()])
		}
	}
	return found, newDiscovery(groups, lists, err), err
}

// newDiscovery returns the discovery with these groups, resources and error.
func newDiscovery(groups []*metav1.APIGroup, lists []*metav1.APIResourceList, err error) Discovery {
	failed, _ := discovery.GroupDiscoveryFailedErrorGroups(err)
	d := Discovery{Resources: map[schema.GroupVersion]*metav1.APIResourceList{}, Failed: failed}
	for _, g := range groups {
		d.Groups = append(d.Groups, withFailed(g, failed))
	}
	for _, l := range lists {
		gv, err := schema.ParseGroupVersion(l.GroupVersion)
		if _, incomplete := failed[gv]; err != nil || incomplete {
			continue
		}
		slices.SortFunc(l.APIResources, func(a, b metav1.APIResource) int { return strings.Compare(a.Name, b.Name) })
		d.Resources[gv] = l
	}
	return d
}

// withFailed returns a group with its versions that failed. Aggregated
// discovery omits them.
func withFailed(of *metav1.APIGroup, failed map[schema.GroupVersion]error) metav1.APIGroup {
	g := *of
	g.Versions = slices.Clone(of.Versions)
	var missing []string
	for gv := range failed {
		listed := slices.ContainsFunc(g.Versions, func(v metav1.GroupVersionForDiscovery) bool {
			return v.Version == gv.Version
		})
		if gv.Group == g.Name && !listed {
			missing = append(missing, gv.Version)
		}
	}
	slices.SortFunc(missing, func(a, b string) int { return version.CompareKubeAwareVersionStrings(b, a) })
	for _, name := range missing {
		gv := schema.GroupVersion{Group: g.Name, Version: name}
		g.Versions = append(g.Versions, metav1.GroupVersionForDiscovery{GroupVersion: gv.String(), Version: name})
	}
	if g.PreferredVersion.Version == "" && len(g.Versions) > 0 {
		g.PreferredVersion = g.Versions[0]
	}
	return g
}

// preferredFirst returns the versions of a group, the preferred version first.
func preferredFirst(g *metav1.APIGroup) []string {
	versions := []string{g.PreferredVersion.Version}
	for _, v := range g.Versions {
		if !slices.Contains(versions, v.Version) {
			versions = append(versions, v.Version)
		}
	}
	return versions
}

// add adds the resources of a group version that can be listed, without
// subresources.
func (s *Served) add(gv schema.GroupVersion, resources []metav1.APIResource) {
	for _, r := range resources {
		if strings.Contains(r.Name, "/") || !slices.Contains(r.Verbs, "list") {
			continue
		}
		found := history.Resource{
			Group:      gv.Group,
			Version:    gv.Version,
			Plural:     r.Name,
			Kind:       r.Kind,
			Singular:   r.SingularName,
			ShortNames: r.ShortNames,
			Namespaced: r.Namespaced,
		}
		if slices.Contains(r.Verbs, "watch") {
			s.Watchable = append(s.Watchable, found)
		} else {
			s.ListOnly = append(s.ListOnly, found)
		}
	}
}
