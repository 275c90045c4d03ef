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

// Resources returns all resources that can be listed. If some groups could not
// be discovered, it returns the others together with an error.
func (c *Client) Resources(ctx context.Context) (Served, error) {
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
	return found, err
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
