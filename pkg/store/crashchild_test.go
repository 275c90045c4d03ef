package store_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// crashDir names the environment variable that makes this test binary append to a log until it is killed; crashSeed the one that
// has the seed of what it appends.
const (
	crashDir  = "WATCHHISTORY_CRASH_DIR"
	crashSeed = "WATCHHISTORY_CRASH_SEED"
)

// The load: so many objects live at once, each through so many versions, from a creation to a deletion.
const (
	crashObjects  = 40
	crashVersions = 12
)

// promise is what a process acknowledges: the records up to RV, the checkpoint (0: withdrawn), and the gaps, by when they began,
// that ended or did not.
type promise struct {
	RV, Checkpoint int
	Gaps           map[int]bool
}

func pods() schema.GroupResource { return schema.GroupResource{Resource: "pods"} }

// crasher is a process that goes on from where the log ends.
type crasher struct {
	promise

	rng  *rand.Rand
	log  *store.Store
	open int // when the open gap began; 0: there is none
}

// crashChild prints a promise of every batch once it is committed. It ends by being killed or, when nobody listens any
// more, by a failing print. Anything else is a panic, which the parent takes for a failure.
func crashChild(dir string) {
	seed, err := strconv.ParseUint(os.Getenv(crashSeed), 10, 64)
	if err != nil {
		panic(err)
	}
	c := &crasher{rng: rand.New(rand.NewPCG(seed, 2))}
	if c.log, err = store.Open(dir, store.Options{NoSync: c.rng.IntN(3) > 0}); err != nil {
		panic(err)
	}
	if err := c.resume(context.Background()); err != nil {
		panic(err)
	}
	for {
		if err := c.log.Append(context.Background(), c.batch()); err != nil {
			panic(err)
		}
		if err := json.NewEncoder(os.Stdout).Encode(c.promise); err != nil {
			return
		}
	}
}

// resume reads what there is.
func (c *crasher) resume(ctx context.Context) error {
	for r, err := range c.log.Scan(ctx, history.Scan{Order: history.NewestFirst, Limit: 1}) {
		if err != nil {
			return err
		}
		if c.RV, err = strconv.Atoi(r.RV); err != nil {
			return err
		}
	}
	checkpoint, err := c.log.Checkpoint(ctx, pods())
	if err != nil {
		return err
	}
	c.Checkpoint, _ = strconv.Atoi(checkpoint.RV)
	known, err := c.log.Gaps(ctx, nil, time.Time{}, time.Time{})
	c.Gaps = map[int]bool{}
	for _, g := range known {
		began := int(g.Start.Unix())
		c.Gaps[began] = !g.Open()
		if g.Open() {
			c.open = began
		}
	}
	return err
}

// batch makes a batch, some of which are larger than a transaction.
func (c *crasher) batch() *history.Batch {
	b := &history.Batch{}
	for range 1 + c.rng.IntN(60) {
		c.RV++
		b.Records = append(b.Records, crashRecord(c.RV))
	}
	switch n := c.rng.IntN(10); {
	case n == 0 && c.open == 0:
		c.open, c.Checkpoint = c.RV, 0
		b.Gaps = []history.Gap{c.gap(time.Time{})}
		b.Checkpoints = []history.Checkpoint{{Resource: "pods"}}
	case n < 3 && c.open != 0:
		b.Gaps = []history.Gap{c.gap(time.Now())}
		c.open = 0
		c.checkpoint(b)
	case n < 8 && c.open == 0:
		c.checkpoint(b)
	}
	return b
}

func (c *crasher) checkpoint(b *history.Batch) {
	c.Checkpoint = c.RV
	b.Checkpoints = []history.Checkpoint{{Resource: "pods", RV: strconv.Itoa(c.RV)}}
}

// gap is the open gap, which tells the last record that it ends with.
func (c *crasher) gap(end time.Time) history.Gap {
	c.Gaps[c.open] = !end.IsZero()
	return history.Gap{
		Resource: "pods", Start: time.Unix(int64(c.open), 0), End: end, Reason: history.GapExpired, Detail: strconv.Itoa(c.RV),
	}
}

// crashRecord is the record with this resourceVersion, whoever writes it: one version of one of the objects that take turns.
func crashRecord(rv int) *history.Record {
	name, version := fmt.Sprint("web-", rv%crashObjects), rv/crashObjects
	r := pod(name, strconv.Itoa(rv), history.Update)
	r.Ref.UID = types.UID(fmt.Sprint(name, "-", version/crashVersions))
	r.Owners = []types.UID{"owner"}
	r.Regarding = &history.Target{Kind: "Node", Name: "node-1"}
	r.Object = crashBody(rv)
	switch version % crashVersions {
	case 0:
		r.Verb = history.Create
	case crashVersions - 1:
		r.Verb = history.Delete
		fallthrough
	default:
		r.Before = crashBody(rv - crashObjects)
	}
	return r
}

// crashBody is like that of the version before, but for one that fits no transaction.
func crashBody(rv int) []byte {
	b := fmt.Appendf(nil, `{"rv":%d,"spec":%q}`, rv, strings.Repeat(fmt.Sprint("object ", rv%crashObjects, " stays the same; "), 60))
	if rv%250 == 0 {
		b = append(b, random(1_300_000)...)
	}
	return b
}
