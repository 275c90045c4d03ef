package cost_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	badger "github.com/dgraph-io/badger/v4"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

// informerVariable makes this test binary run as the recorder to compare with.
// Its value is the path of a kubeconfig.
const informerVariable = "COST_INFORMER_KUBECONFIG"

// informer is a recorder of the usual design, in a process of its own. It has a
// dynamic informer for each kind and writes each object to Badger as JSON, with
// the kind, the name and the time as the key.
//
// It has no second index, does not sync, and lets Badger decide when to commit.
// So it costs less than a recorder that does everything this project's does.
type informer struct {
	in  io.Writer
	out *bufio.Reader
}

// newInformer starts an informer that ends with the test.
func newInformer(tb testing.TB) *informer {
	tb.Helper()
	process := exec.Command(os.Args[0]) //nolint:noctx,gosec // ends with its standard input
	process.Env = append(os.Environ(), informerVariable+"="+cluster.Kubeconfig, "COST_INFORMER_DIR="+tb.TempDir())
	process.Stderr = os.Stderr
	in, err := process.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	out, err := process.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := process.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = in.Close()
		if err := process.Wait(); err != nil {
			tb.Errorf("informer process: got error %v, want none", err)
		}
	})
	return &informer{in: in, out: bufio.NewReader(out)}
}

// read implements meter.
func (i *informer) read(tb testing.TB) (cpu time.Duration, versions int) {
	tb.Helper()
	if _, err := fmt.Fprintln(i.in); err != nil {
		tb.Fatal(err)
	}
	line, err := i.out.ReadString('\n')
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := fmt.Sscan(line, &cpu, &versions); err != nil {
		tb.Fatalf("answer %q of the informer process: %v", line, err)
	}
	return cpu, versions
}

// informerMain is the main function of the informer process. It answers each
// line of its input with its CPU time and its number of versions. It returns
// when the input ends.
func informerMain() int {
	if err := recordByInformer(os.Getenv(informerVariable), os.Getenv("COST_INFORMER_DIR")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// recordByInformer records until the standard input ends.
func recordByInformer(kubeconfig, dir string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	config.QPS = -1
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return err
	}
	db, err := badger.Open(badger.DefaultOptions(dir).WithLogger(nil))
	if err != nil {
		return err
	}
	defer db.Close()
	w := &informed{batch: db.NewWriteBatch()}
	ctx, cancel := context.WithCancel(context.Background())
	factory := dynamicinformer.NewDynamicSharedInformerFactory(client, 0)
	for _, gvr := range []schema.GroupVersionResource{
		{Version: "v1", Resource: "pods"},
		{Version: "v1", Resource: "configmaps"},
		{Version: "v1", Resource: "secrets"},
		{Group: "load.devcluster.dev", Version: "v1", Resource: "widgets"},
	} {
		handler := cache.ResourceEventHandlerFuncs{
			AddFunc: w.store, UpdateFunc: func(_, now any) { w.store(now) }, DeleteFunc: w.store,
		}
		if _, err := factory.ForResource(gvr).Informer().AddEventHandler(handler); err != nil {
			cancel()
			return err
		}
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		_, _ = fmt.Fprintln(os.Stdout, cpuTime().Nanoseconds(), w.versions.Load())
	}
	cancel()
	factory.Shutdown()
	return w.batch.Flush()
}

// informed writes the objects of informers to Badger.
type informed struct {
	versions atomic.Int64

	mu    sync.Mutex // guards batch
	batch *badger.WriteBatch
}

// store writes one version.
func (w *informed) store(object any) {
	o, ok := object.(*unstructured.Unstructured)
	if !ok {
		return // a deletion without a final state
	}
	body, err := json.Marshal(o)
	if err != nil {
		return
	}
	key := binary.BigEndian.AppendUint64([]byte(o.GetKind()+"/"+o.GetNamespace()+"/"+o.GetName()+"/"),
		uint64(time.Now().UnixNano()))
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.batch.Set(key, body) == nil {
		w.versions.Add(1)
	}
}

// cpuTime returns the CPU time of this process, user and system.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
