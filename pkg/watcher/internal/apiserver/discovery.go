package apiserver

import (
	"context"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// Resources returns everything that can be listed and watched, of each group the version first that the server prefers.
// Where some groups could not be discovered, the others are returned together with the error.
func (c *Client) Resources(ctx context.Context) ([]history.Resource, error) {
	defer c.Hurry()()
	groups, lists, err := discovery.ServerGroupsAndResourcesWithContext(ctx, discovery.ToDiscoveryInterfaceWithContext(c.discovery))
	if err != nil {
		err = fmt.Errorf("discover resources: %w", err)
	}
	byVersion := make(map[string][]metav1.APIResource, len(lists))
	for _, l := range lists {
		byVersion[l.GroupVersion] = l.APIResources
	}
	var all []history.Resource
	for _, g := range groups {
		for _, version := range preferredFirst(g) {
			gv := schema.GroupVersion{Group: g.Name, Version: version}
			all = append(all, watchable(gv, byVersion[gv.String()])...)
		}
	}
	return all, err
}

func preferredFirst(g *metav1.APIGroup) []string {
	versions := []string{g.PreferredVersion.Version}
	for _, v := range g.Versions {
		if !slices.Contains(versions, v.Version) {
			versions = append(versions, v.Version)
		}
	}
	return versions
}

func watchable(gv schema.GroupVersion, resources []metav1.APIResource) (all []history.Resource) {
	for _, r := range resources {
		if strings.Contains(r.Name, "/") || !slices.Contains(r.Verbs, "list") || !slices.Contains(r.Verbs, "watch") {
			continue
		}
		all = append(all, history.Resource{
			Group:      gv.Group,
			Version:    gv.Version,
			Plural:     r.Name,
			Kind:       r.Kind,
			Singular:   r.SingularName,
			ShortNames: r.ShortNames,
			Namespaced: r.Namespaced,
		})
	}
	return all
}
