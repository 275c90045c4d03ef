// Package deploy contains the manifests of this directory, so that the plugin
// can install a recorder without a clone of the repository.
//
// It is internal to watchhistory: its API changes without notice.
package deploy

import "embed"

// Files are the kustomizations of this directory. A new directory has to be
// added here.
//
//go:embed kustomization.yaml base client overlays
var Files embed.FS
