package component

import (
	"fmt"
	_ "unsafe" // for go:linkname

	"k8s.io/component-base/version"
)

// Version is the Kubernetes release that go.mod pins.
const Version = "v1.37.2"

// Official builds of Kubernetes set this variable with -ldflags. In modules
// from a proxy it is a placeholder that clients can't parse as a version. It is
// linked by name, so that a plain "go build" has the right version.
//
//go:linkname gitVersion k8s.io/component-base/version.gitVersion
var gitVersion string //nolint:gochecknoglobals // it is the other package's

// stampVersion must be called before anything reads the version.
func stampVersion() error {
	gitVersion = Version
	if err := version.SetDynamicVersion(Version); err != nil {
		return fmt.Errorf("set version: %w", err)
	}
	return nil
}
