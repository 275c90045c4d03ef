package cost_test

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/rig/clustertest"
	"github.com/watchhistory/watchhistory/pkg/rig/recordertest"
)

var recorder = flag.String("recorder", "",
	"path of the recorder's binary, to compare versions; default: built from this source")

var (
	cluster *clustertest.Cluster
	program string // path of the recorder's binary
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if os.Getenv(informerVariable) != "" {
		return informerMain()
	}
	flag.Parse()
	if program = *recorder; program == "" {
		dir, err := os.MkdirTemp("", "cost-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		if program, err = recordertest.Build(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return clustertest.Main(m, clustertest.Options{}, func(c *clustertest.Cluster) { cluster = c })
}
