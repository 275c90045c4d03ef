package chaos_test

import (
	"flag"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/rig/clustertest"
	"github.com/watchhistory/watchhistory/pkg/rig/recordertest"
)

var (
	seed = flag.Uint64("seed", 0, "seed of all random times and choices; 0 means a new one")
	long = flag.Bool("long", false, "run the long form: 20 kills, 20,000 writes")

	cluster *clustertest.Cluster
	binary  string // the recorder
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "chaos-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if binary, err = recordertest.Build(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return clustertest.Main(m, clustertest.Options{}, func(c *clustertest.Cluster) { cluster = c })
}

// newRand returns the test's random numbers, and logs the command that repeats
// them.
func newRand(t *testing.T) *rand.Rand {
	t.Helper()
	s := *seed
	if s == 0 {
		s = rand.Uint64()
	}
	t.Logf("seed %d: go test -run '^%s$' ./pkg/rig/chaos -seed %d -long=%t", s, t.Name(), s, *long)
	h := fnv.New64()
	_, _ = h.Write([]byte(t.Name()))
	return rand.New(rand.NewPCG(s, h.Sum64())) //nolint:gosec // repeatable, not secret
}

// shortOrLong returns the value for the form of the tests that runs.
func shortOrLong[T any](short, extended T) T {
	if *long {
		return extended
	}
	return short
}

// pause sleeps for a random time, so that failures happen at random moments of
// the load. No test relies on an order that it makes.
func pause(random *rand.Rand, longest time.Duration) {
	time.Sleep(time.Duration(random.Int64N(int64(longest))))
}
