package cost_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/internal/clustertest"
	"github.com/watchhistory/watchhistory/pkg/internal/recordertest"
)

var (
	cluster *clustertest.Cluster
	program string // the recorder
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if os.Getenv(informerVariable) != "" {
		return informerMain()
	}
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
	return clustertest.Main(m, clustertest.Options{}, func(c *clustertest.Cluster) { cluster = c })
}

func kinds() []string { return []string{"pods", "configmaps", "secrets", "widgets"} }
