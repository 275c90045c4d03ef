package cost_test

import (
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/rig/clustertest"
	"github.com/watchhistory/watchhistory/pkg/rig/recordertest"
)

var (
	clientVersions = flag.Int("client-versions", 1200,
		"number of versions of pods of 7 KB that clients query; make clients uses 6,000")
	clientTime = flag.Duration("client-time", 5*time.Second,
		"duration of each load of clients; make clients uses 1m")
)

// maxResidentClients limits the resident memory while clients query, in bytes,
// without mapped pages of the database.
const maxResidentClients = 300e6

// The clients, and how they read.
const (
	greedyClients = 64
	slowClients   = 8
	slowRate      = 10_000 // bytes per second
)

// TestClients_GreedyAndSlowOnesDontStarveOthers runs small queries while other
// clients read slowly, while others query 1,000 records all the time, and while
// others query everything that the API serves. A load is recorded meanwhile. It
// logs a table of the times and limits the memory. Every small query must be
// answered, and every write recorded.
func TestClients_GreedyAndSlowOnesDontStarveOthers(t *testing.T) {
	if _, err := cluster.Load(t.Context(), clustertest.Load{
		Namespace: "clients", Objects: 100, Writers: 8,
	}); err != nil {
		t.Fatal(err)
	}
	r := recordertest.New(t, program, cluster.Kubeconfig)
	r.Ready(t)
	since := time.Now()
	if _, err := cluster.Load(t.Context(), clustertest.Load{
		Namespace: "updates", Objects: 100, Updates: *clientVersions/100 - 1, Writers: 8,
	}); err != nil {
		t.Fatal(err)
	}
	recordertest.Eventually(t, "all versions are recorded", func() (bool, string) {
		n := r.Metric(t, "watchhistory_versions_recorded_total")
		return int(n) >= *clientVersions, fmt.Sprint(n)
	})
	rows := []string{fmt.Sprintf(tableRow, "next to", "small queries", "failed", "median", "99 %", "maximum",
		"resident", "answers of the clients")}
	for _, load := range []struct {
		name    string
		clients func(context.Context, string) map[string]int
	}{
		{"none", func(context.Context, string) map[string]int { return nil }},
		{"slow", slow},
		{"greedy", greedy},
		{"everything", func(ctx context.Context, base string) map[string]int { return everything(ctx, base, since) }},
		{"slow-and-everything", func(ctx context.Context, base string) map[string]int {
			return slowAndEverything(ctx, base, since)
		}},
	} {
		t.Run(load.name, func(t *testing.T) { rows = append(rows, withClients(t, r, load.name, load.clients)) })
	}
	t.Logf("goals: at most 300 MB resident, and a 99th percentile of at most 200ms\n%s", strings.Join(rows, "\n"))
}

// tableRow is the format of a row of the table.
const tableRow = "%-20s %13v %6v %7v %7v %7v %8v  %s"

// withClients runs clients, small queries and a load for a while. The clients
// return how many answers had each status. It returns a row of the table.
func withClients(
	t *testing.T, r *recordertest.Recorder, name string, clients func(ctx context.Context, url string) map[string]int,
) (row string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), *clientTime)
	defer cancel()
	var all sync.WaitGroup
	var truth []clustertest.Write
	var loadErr error
	var statuses map[string]int
	var small, large times
	all.Go(func() {
		truth, loadErr = cluster.Load(t.Context(), clustertest.Load{
			Namespace: "load-" + name, Objects: 50, Updates: max(1, int(clientTime.Seconds())),
			Writers: 4, Rate: 50, Delete: true,
		})
	})
	all.Go(func() { statuses = clients(ctx, r.URL) })
	all.Go(func() {
		small.run(ctx, 20*time.Millisecond, r.URL+"/api/v1/events?resourceType=pods&limit=20&order=desc")
	})
	if name == "slow" {
		all.Go(func() { large.run(ctx, time.Second, r.URL+"/api/v1/events?limit=1000") })
	}
	most := 0.0
	for tick := time.NewTicker(200 * time.Millisecond); ctx.Err() == nil; {
		select {
		case <-tick.C:
			resident, database := r.Resident(t)
			most = max(most, float64(resident-database))
		case <-ctx.Done():
			tick.Stop()
		}
	}
	all.Wait()
	if len(large.took) > 0 {
		t.Logf("queries for 1000 records: %s", large.String())
	}
	if small.failed > 0 || large.failed > 0 {
		t.Errorf("got %d small and %d large queries without an answer, want none: %s%s",
			small.failed, large.failed, small.first, large.first)
	}
	for status, n := range statuses {
		expected := []string{"200 OK", "404 Not Found", "429 Too Many Requests", "503 Service Unavailable"}
		if !slices.Contains(expected, strings.TrimPrefix(status, "slow: ")) {
			t.Errorf("got %d answers with %q, want one of %q", n, status, expected)
		}
	}
	if most > maxResidentClients {
		t.Errorf("got %.0f MB resident, want at most %.0f", most/1e6, maxResidentClients/1e6)
	}
	if loadErr != nil {
		t.Fatal(loadErr)
	}
	compare(t, r, "load-"+name, truth)
	return fmt.Sprintf(tableRow, name, len(small.took), small.failed, small.at(0.5), small.at(0.99), small.at(1),
		fmt.Sprintf("%.0f MB", most/1e6), sorted(statuses))
}

// compare compares the records of a namespace with the writes to it.
func compare(t *testing.T, r *recordertest.Recorder, namespace string, truth []clustertest.Write) {
	t.Helper()
	q := client.EventsQuery{
		Namespace: history.ParseNamespaceScope(namespace), Resources: []string{"pods"}, Summary: true,
	}
	var events []v1.Event
	recordertest.Eventually(t, "the load is recorded", func() (bool, string) {
		events = nil
		for e, err := range r.Client.All(t.Context(), q) {
			if err != nil {
				return false, err.Error()
			}
			events = append(events, e)
		}
		return len(events) >= len(truth), fmt.Sprintf("got %d, want %d", len(events), len(truth))
	})
	for _, finding := range clustertest.Compare(truth, events).Findings {
		t.Error(finding)
	}
}

// greedy runs clients that query 1,000 records, again and again.
func greedy(ctx context.Context, base string) map[string]int {
	return repeatedly(ctx, greedyClients, base, []string{v1.EventsPath + "?limit=1000"})
}

// everything runs clients that query everything that the API serves, again and
// again. The comparisons begin at a time.
func everything(ctx context.Context, base string, since time.Time) map[string]int {
	from := url.QueryEscape(since.UTC().Format(time.RFC3339Nano))
	return repeatedly(ctx, greedyClients, base, []string{
		v1.EventsPath + "?limit=1000",
		v1.EventsPath + "?limit=1000&order=desc&namespace=updates",
		v1.EventsPath + "?limit=1000&q=" + url.QueryEscape(`changed.exists(p, p.startsWith("spec"))`),
		v1.EventsPath + "?limit=1000&labelSelector=app&resourceType=pods",
		v1.EventsPath + "/clients/pods/load-0?empty=200&descendants=true",
		v1.StatePath + "?limit=1000",
		v1.StatePath + "?limit=1000&strip=true&resourceType=pods",
		v1.ComparePath + "?limit=1000&noise=true&from=" + from,
		v1.ResourcesPath,
		v1.GapsPath,
	})
}

// slowAndEverything runs the clients of slow, and those of everything once the
// slow ones have the beginnings of their answers.
func slowAndEverything(ctx context.Context, base string, since time.Time) map[string]int {
	var slowly map[string]int
	var readers, begun sync.WaitGroup
	begun.Add(slowClients)
	readers.Go(func() { slowly = readersOf(ctx, base, begun.Done) })
	begun.Wait()
	statuses := everything(ctx, base, since)
	readers.Wait()
	for status, n := range slowly {
		statuses["slow: "+status] += n
	}
	return statuses
}

// repeatedly runs clients that send queries, each client beginning with another
// one, again and again. A client that is refused waits as long as the answer
// says. It returns how many answers had each status.
func repeatedly(ctx context.Context, clients int, base string, paths []string) map[string]int {
	var mu sync.Mutex
	statuses := map[string]int{}
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() {
			transport := &http.Transport{DisableCompression: true}
			defer transport.CloseIdleConnections()
			for n := i; ctx.Err() == nil; n++ {
				path := base + paths[n%len(paths)]
				status, wait := ask(ctx, &http.Client{Transport: transport}, path, i%2 == 0)
				if ctx.Err() != nil {
					return
				}
				mu.Lock()
				statuses[status]++
				mu.Unlock()
				select {
				case <-time.After(wait):
				case <-ctx.Done():
				}
			}
		})
	}
	all.Wait()
	return statuses
}

// ask sends a query and reads the answer. It returns the status, or the error,
// and how long to wait for the next query.
func ask(ctx context.Context, c *http.Client, target string, gzip bool) (status string, wait time.Duration) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, http.NoBody)
	if err != nil {
		return err.Error(), 0
	}
	if gzip {
		request.Header.Set("Accept-Encoding", "gzip")
	}
	response, err := c.Do(request)
	if err != nil {
		return err.Error(), 0
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err.Error(), 0
	}
	seconds, _ := strconv.Atoi(response.Header.Get("Retry-After"))
	return response.Status, time.Duration(seconds) * time.Second
}

// slow runs clients that query everything once and read at slowRate. It returns
// how many of them got each status.
func slow(ctx context.Context, base string) map[string]int { return readersOf(ctx, base, func() {}) }

// readersOf is slow, and calls begun for each client that has the beginning of
// its answer, or that failed.
func readersOf(ctx context.Context, base string, begun func()) map[string]int {
	var mu sync.Mutex
	statuses := map[string]int{}
	var all sync.WaitGroup
	for range slowClients {
		all.Go(func() {
			status := readSlowly(ctx, strings.TrimPrefix(base, "http://"), begun)
			mu.Lock()
			defer mu.Unlock()
			statuses[status]++
		})
	}
	all.Wait()
	return statuses
}

// readSlowly sends a query and reads the answer at slowRate until ctx ends. It
// calls begun once it has the status, or if it fails, and returns the status.
func readSlowly(ctx context.Context, address string, begun func()) string {
	begun = sync.OnceFunc(begun)
	defer begun()
	c, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	if err := c.(*net.TCPConn).SetReadBuffer(slowRate / 2); err != nil {
		return err.Error()
	}
	if _, err := io.WriteString(c, "GET /api/v1/events?limit=1000 HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		return err.Error()
	}
	status, buffer := "", make([]byte, slowRate/10)
	for tick := time.NewTicker(100 * time.Millisecond); ; {
		select {
		case <-ctx.Done():
			tick.Stop()
			return status
		case <-tick.C:
		}
		if err := c.SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
			return err.Error()
		}
		if n, _ := c.Read(buffer); n > 0 && status == "" {
			status, _, _ = strings.Cut(string(buffer[:n]), "\r\n")
			status = strings.TrimPrefix(status, "HTTP/1.1 ")
			begun()
		}
	}
}

// times are the times of queries.
type times struct {
	took   []time.Duration
	failed int
	first  string // failure
}

// run sends a query once per interval until ctx ends.
func (q *times) run(ctx context.Context, interval time.Duration, target string) {
	transport := &http.Transport{DisableCompression: true}
	defer transport.CloseIdleConnections()
	for tick := time.NewTicker(interval); ; {
		select {
		case <-ctx.Done():
			tick.Stop()
			return
		case <-tick.C:
		}
		start := time.Now()
		status, _ := ask(ctx, &http.Client{Transport: transport}, target, true)
		if ctx.Err() != nil {
			continue
		}
		if q.took = append(q.took, time.Since(start)); status != "200 OK" {
			q.failed++
			q.first = status
		}
	}
}

// at returns the time within which a share of the queries was answered.
func (q *times) at(share float64) time.Duration {
	slices.Sort(q.took)
	if len(q.took) == 0 {
		return 0
	}
	return q.took[min(int(share*float64(len(q.took))), len(q.took)-1)].Round(time.Millisecond)
}

// String returns the number of queries, and their median, 99th percentile and
// maximum.
func (q *times) String() string {
	return fmt.Sprintf("%d, of them %d failed; median %v, 99th percentile %v, maximum %v",
		len(q.took), q.failed, q.at(0.5), q.at(0.99), q.at(1))
}

// sorted returns counts as text.
func sorted(counts map[string]int) string {
	var all []string
	for _, key := range slices.Sorted(maps.Keys(counts)) {
		if unescaped, err := url.QueryUnescape(key); err == nil {
			key = unescaped
		}
		all = append(all, fmt.Sprintf("%d × %s", counts[key], key))
	}
	return strings.Join(all, ", ")
}
