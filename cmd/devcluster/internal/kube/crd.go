package kube

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
)

// Resource describes a custom resource. Its schema accepts any fields, and it
// has a status subresource.
type Resource struct {
	Group, Version, Plural, Singular, Kind string
}

// GVR is the resource's group, version and plural.
func (r Resource) GVR() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: r.Group, Version: r.Version, Resource: r.Plural}
}

// Definitions is the resource of CustomResourceDefinitions.
func Definitions() schema.GroupVersionResource {
	return schema.GroupVersionResource{
		Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions",
	}
}

// Define creates the resource's definition as manager, unless it exists, and
// returns when the API server serves the resource.
func Define(ctx context.Context, client dynamic.Interface, r Resource, manager string) error {
	definitions := client.Resource(Definitions())
	_, err := definitions.Create(ctx, r.definition(), metav1.CreateOptions{FieldManager: manager})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("define %s: %w", r.Plural, err)
	}
	for {
		// A list is safer than the Established condition, which the API server
		// sets a moment before it serves the resource.
		_, err := client.Resource(r.GVR()).List(ctx, metav1.ListOptions{Limit: 1})
		if err == nil {
			return nil
		}
		if !apierrors.IsNotFound(err) {
			return fmt.Errorf("list %s: %w", r.Plural, err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", r.Plural, ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (r Resource) definition() *unstructured.Unstructured {
	type object = map[string]any
	open := object{"type": "object", "x-kubernetes-preserve-unknown-fields": true}
	return &unstructured.Unstructured{Object: object{
		"apiVersion": "apiextensions.k8s.io/v1",
		"kind":       "CustomResourceDefinition",
		"metadata":   object{"name": r.Plural + "." + r.Group},
		"spec": object{
			"group": r.Group,
			"scope": "Namespaced",
			"names": object{"plural": r.Plural, "singular": r.Singular, "kind": r.Kind},
			"versions": []any{object{
				"name": r.Version, "served": true, "storage": true,
				"subresources": object{"status": object{}},
				"schema": object{"openAPIV3Schema": object{
					"type":       "object",
					"properties": object{"spec": open, "status": open},
				}},
			}},
		},
	}}
}
