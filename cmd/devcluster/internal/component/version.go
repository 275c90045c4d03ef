package component

import (
	"fmt"
	_ "unsafe" // for go:linkname

	"k8s.io/component-base/version"
)

// Version is the Kubernetes release that go.mod pins.
const Version = "v1.37.2"

// Kubernetes' own builds set this variable with -ldflags. Modules taken from a
// proxy carry a placeholder instead, which clients that ask for the server's
// version can't parse. Reaching it by name keeps a plain "go build" right.
//
//go:linkname gitVersion k8s.io/component-base/version.gitVersion
var gitVersion string //nolint:gochecknoglobals // it is the other package's

// stampVersion must come before anything asks for the version.
func stampVersion() error {
	gitVersion = Version
	if err := version.SetDynamicVersion(Version); err != nil {
		return fmt.Errorf("set version: %w", err)
	}
	return nil
}
