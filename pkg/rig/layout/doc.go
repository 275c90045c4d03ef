// Package layout checks which packages depend on which.
//
// It owns the rules that the linter cannot express. The packages client, api/v1
// and history are for other projects to import. Their exported API names no
// other package of this module, and they import only each other and packages
// that Go itself closes (internal). Every other package under pkg/ is called
// internal in its package comment. Only tests import packages of pkg/rig.
//
// docs/design/0001-layout.md explains why. The directions between the other
// packages are in .golangci.yaml.
//
// Only tests import the package. It is internal to watchhistory: its API
// changes without notice.
package layout
