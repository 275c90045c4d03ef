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
	seed = flag.Uint64("seed", 0, "what all random moments follow from; 0 takes a new one")
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

// chance returns the test's random numbers, and says the seed that brings them back.
func chance(t *testing.T) *rand.Rand {
	t.Helper()
	s := *seed
	if s == 0 {
		s = rand.Uint64()
	}
	t.Logf("seed %d: go test -run '^%s$' ./pkg/rig/chaos -seed %d -long=%t", s, t.Name(), s, *long)
	h := fnv.New64()
	_, _ = h.Write([]byte(t.Name()))
	return rand.New(rand.NewPCG(s, h.Sum64())) //nolint:gosec // to be repeated, not secret
}

// form returns the value for the form that was asked for.
func form[T any](short, extended T) T {
	if *long {
		return extended
	}
	return short
}

// pause waits for a random time of up to longest.
func pause(random *rand.Rand, longest time.Duration) {
	time.Sleep(time.Duration(random.Int64N(int64(longest))))
}
