//go:build linux

package test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient/simulator"
)

// The yardstick: instances of 30 tasks of 20 subtasks, an API on loopback that takes 50 ms, 64 requests in flight.
const (
	benchLatency  = 50 * time.Millisecond
	benchInFlight = 64
)

// benchScrapes is how many scrapes of n instances are measured, after a first one.
func benchScrapes(n int) int { return max(2, min(20, 5000/n)) }

// benchAccept is what Prometheus sends.
const benchAccept = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;versio" +
	"n=0.0.4;q=0.5,*/*;q=0.1"

// cost is what a process took for a number of scrapes.
type cost struct {
	Wall, CPU time.Duration // of one
	Peak      float64       // MB of resident memory, at the most
	First     time.Duration // from the start of the process to the end of its first scrape
	Lines     int           // of the log, of all scrapes
}

func buildExporter(b *testing.B) (binary string) {
	b.Helper()
	binary = filepath.Join(b.TempDir(), "exporter")
	if out, err := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", binary, ".").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	return binary
}

// fleetCost is what scrapes of a fleet cost, and the floor of the same machine at the same time: a process that fetches the same bytes with
// pooled buffers and looks at each once.
type fleetCost struct {
	floor, unchanged, changed cost
	text                      cost // unchanged, not compressed
}

func (c fleetCost) cpuUnchanged() float64 { return float64(c.unchanged.CPU) / float64(c.floor.CPU) }
func (c fleetCost) cpuChanged() float64   { return float64(c.changed.CPU) / float64(c.floor.CPU) }
func (c fleetCost) wall() float64         { return float64(c.unchanged.Wall) / float64(c.floor.Wall) }
func (c fleetCost) peak() float64         { return max(c.unchanged.Peak, c.changed.Peak) }

// goal is what the median of five measurements should not exceed: a ratio to the floor, or MB.
type goal struct {
	figure  string
	of      func(fleetCost) float64
	most    float64
	guarded float64 // what the best of five may not exceed
}

// goals returns the goals for 1,000 instances. Other programs on the machine add little to the least CPU time and memory of five
// measurements, so these are held to the goal itself. They do make requests wait for a core, so a quarter is added to the time.
func goals() []goal {
	return []goal{
		{"cpu-ratio", fleetCost.cpuUnchanged, 5, 5},
		{"changed-cpu-ratio", fleetCost.cpuChanged, 9, 9},
		{"wall-ratio", fleetCost.wall, 1.15, 1.25 * 1.15},
		{"peak-MB", fleetCost.peak, 80, 80},
	}
}

// sorted returns a figure of some measurements, the least first.
func sorted(costs []fleetCost, of func(fleetCost) float64) []float64 {
	values := make([]float64, len(costs))
	for i, c := range costs {
		values[i] = of(c)
	}
	slices.Sort(values)
	return values
}

func median(costs []fleetCost, of func(fleetCost) float64) float64 {
	return sorted(costs, of)[len(costs)/2]
}

// measure measures a fleet of n instances once.
func (a *benchAPI) measure(b *testing.B, binary string, n int) (c fleetCost) {
	b.Helper()
	c.floor = a.floor(b, n, true)
	c.unchanged = a.scrape(b, binary, n, true)
	c.text = a.scrape(b, binary, n, false)
	a.changing.Store(true)
	defer a.changing.Store(false)
	c.changed = a.scrape(b, binary, n, true)
	return c
}

// BenchmarkFleet scrapes the built exporter, a process of its own, and holds it against the floor.
func BenchmarkFleet(b *testing.B) {
	binary := buildExporter(b)
	api := newBenchAPI(b, binary, benchTasks)
	var per100 float64 // ms of one instance
	for _, n := range []int{100, 1000, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				var costs []fleetCost
				for range max(1, min(5, 5000/n)) {
					costs = append(costs, api.measure(b, binary, n))
				}
				ms := func(d time.Duration) float64 { return d.Seconds() * 1000 }
				unchanged := median(costs, func(c fleetCost) float64 { return ms(c.unchanged.CPU) })
				if n == 100 {
					per100 = unchanged
				}
				b.ReportMetric(median(costs, func(c fleetCost) float64 { return ms(c.floor.CPU) }), "floor-cpu-ms")
				b.ReportMetric(unchanged, "cpu-ms")
				b.ReportMetric(median(costs, func(c fleetCost) float64 { return ms(c.text.CPU) }), "text-cpu-ms")
				b.ReportMetric(median(costs, func(c fleetCost) float64 { return ms(c.changed.CPU) }), "changed-cpu-ms")
				b.ReportMetric(median(costs, func(c fleetCost) float64 { return ms(c.unchanged.Wall) }), "wall-ms")
				for _, g := range goals() {
					b.ReportMetric(median(costs, g.of), g.figure)
				}
				b.ReportMetric(median(costs, func(c fleetCost) float64 { return ms(c.unchanged.First) }), "first-ms")
				b.ReportMetric(unchanged/float64(n)*100/per100, "per-instance-of-100")
				b.ReportMetric(0, "ns/op")
			}
		})
	}
}

// BenchmarkGuard fails if a figure of a fleet of 1,000 instances exceeds what is guarded in each of five measurements.
func BenchmarkGuard(b *testing.B) {
	binary := buildExporter(b)
	api := newBenchAPI(b, binary, benchTasks)
	for b.Loop() {
		var costs []fleetCost
		exceeded := func(g goal) bool { return sorted(costs, g.of)[0] > g.guarded }
		for range 5 {
			costs = append(costs, api.measure(b, binary, 1000))
			if !slices.ContainsFunc(goals(), exceeded) {
				break
			}
		}
		b.ReportMetric(0, "ns/op")
		for _, g := range goals() {
			b.ReportMetric(sorted(costs, g.of)[0], g.figure)
			if exceeded(g) {
				b.Errorf("%s is %.2f at best, more than %.2f; the goal is %.2f", g.figure, sorted(costs, g.of)[0], g.guarded, g.most)
			}
		}
	}
}

// largestPeak is the memory, in MiB, that instances of many tables may take.
const largestPeak = 230

// BenchmarkManyTables scrapes 16 instances of 50 tasks of 3,000 tables: 27 MiB a page, if pages were not made smaller.
func BenchmarkManyTables(b *testing.B) {
	binary := buildExporter(b)
	var tasks []simulator.Task
	for i := range 50 {
		start := time.Now().Truncate(time.Hour).Add(-time.Duration(24*i+2) * time.Hour)
		t := simulator.Task{
			BackupTaskID: fmt.Sprintf("bt-%d", i), InstanceID: "null", Status: "COMPLETED", Size: 2000,
			Start: simulator.Millis(start), Finish: simulator.Millis(start.Add(time.Hour)), Expire: simulator.Millis(start.Add(90 * 24 * time.Hour)),
		}
		for j := range 3000 {
			t.SubTasks = append(t.SubTasks, simulator.SubTask{
				Database: fmt.Sprintf("database_%d", j%3), Table: fmt.Sprintf("a_table_with_a_long_name_%04d", j), Status: "success",
				Start: simulator.Seconds(start), Finish: simulator.Seconds(start.Add(time.Hour)), Size: j % 50, Detail: "[]",
			})
		}
		tasks = append(tasks, t)
	}
	api := newBenchAPI(b, binary, func(time.Time) []simulator.Task { return tasks })
	for b.Loop() {
		c := api.scrape(b, binary, 16, true)
		b.ReportMetric(c.Peak, "peak-MB")
		b.ReportMetric(c.CPU.Seconds()*1000, "cpu-ms")
		b.ReportMetric(c.Wall.Seconds()*1000, "wall-ms")
		b.ReportMetric(0, "ns/op")
		if c.Peak > largestPeak*1.048576 {
			b.Fatalf("%.0f MB at the peak, more than %d MiB", c.Peak, largestPeak)
		}
	}
}

// BenchmarkManyDatabases scrapes an instance of 2,000 and one of 20,000 databases: ten times as many cost ten times as much.
func BenchmarkManyDatabases(b *testing.B) {
	binary := buildExporter(b)
	for _, databases := range []int{2000, 20000} {
		b.Run(fmt.Sprint(databases), func(b *testing.B) {
			start := time.Now().Truncate(time.Hour).Add(-2 * time.Hour)
			task := simulator.Task{
				BackupTaskID: "bt-1", InstanceID: "null", Status: "COMPLETED", BackupType: "FullBackup",
				Start: simulator.Millis(start), Finish: simulator.Millis(start.Add(time.Hour)),
			}
			for i := range databases {
				task.SubTasks = append(task.SubTasks, simulator.SubTask{
					Database: fmt.Sprintf("database_%d", i), Table: "t", Status: "success",
					Size: 1,
				})
			}
			api := newBenchAPI(b, binary, func(time.Time) []simulator.Task { return []simulator.Task{task} })
			api.changing.Store(true)
			for b.Loop() {
				c := api.scrape(b, binary, 1, true)
				b.ReportMetric(c.CPU.Seconds()*1000, "cpu-ms")
				b.ReportMetric(c.Peak, "peak-MB")
				b.ReportMetric(0, "ns/op")
			}
		})
	}
}

// BenchmarkOutage scrapes 1,000 instances while the API answers nothing but 503.
func BenchmarkOutage(b *testing.B) {
	binary := buildExporter(b)
	api := newBenchAPI(b, binary, benchTasks)
	api.down.Store(true)
	for b.Loop() {
		before := api.requests.Load()
		c := api.scrape(b, binary, 1000, true)
		scrapes := float64(1 + benchScrapes(1000))
		b.ReportMetric(float64(api.requests.Load()-before)/scrapes, "requests/scrape")
		b.ReportMetric(float64(c.Lines)/scrapes, "log-lines/scrape")
		b.ReportMetric(c.CPU.Seconds()*1000, "cpu-ms")
		b.ReportMetric(c.Wall.Seconds()*1000, "wall-ms")
		b.ReportMetric(0, "ns/op")
	}
}

// benchAPI is the simulator, and the same bytes without it for the floor.
type benchAPI struct {
	url  string
	body []byte // an answer
	// changing makes each answer differ from the one before.
	changing atomic.Bool
	down     atomic.Bool // each answer is 503
	requests atomic.Int64
	answers  atomic.Int64
}

// changingWriter replaces a word that counts for nothing by a number of its own.
type changingWriter struct {
	http.ResponseWriter

	number int64
}

// Write implements http.ResponseWriter.
func (w changingWriter) Write(p []byte) (int, error) {
	const word = "FullBackup"
	before, after, found := bytes.Cut(p, []byte(word))
	_, err := w.ResponseWriter.Write(before)
	if found && err == nil {
		_, err = fmt.Fprintf(w.ResponseWriter, "%0*d", len(word), w.number)
	}
	if err == nil {
		_, err = w.ResponseWriter.Write(after)
	}
	return len(p), err
}

func newBenchAPI(b *testing.B, binary string, tasks func(time.Time) []simulator.Task) *benchAPI {
	b.Helper()
	sim := simulator.New(simulator.Options{AccessKeys: map[string]string{"id": "secret"}, Latency: benchLatency})
	for i := range 10000 {
		sim.Set(simulator.Instance{InstanceID: fmt.Sprintf("c-%d", i), RegionID: "cn-hangzhou", Rendered: "all alike", Tasks: tasks})
	}
	a := &benchAPI{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodGet: // the floor: what the last request for one instance was answered
			time.Sleep(benchLatency)
			w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
			_, _ = w.Write(a.body)
		case a.down.Load():
			a.requests.Add(1)
			simulator.GatewayError(http.StatusServiceUnavailable, "ServiceUnavailable", "no")(w, r, 1)
		case a.body == nil:
			answer := httptest.NewRecorder()
			sim.ServeHTTP(answer, r)
			a.body = answer.Body.Bytes()
			_, _ = w.Write(a.body)
		case a.changing.Load():
			sim.ServeHTTP(changingWriter{w, a.answers.Add(1)}, r)
		default:
			sim.ServeHTTP(w, r)
		}
	}))
	b.Cleanup(server.Close)
	a.url = server.URL
	a.scrape(b, binary, 1, false)
	return a
}

func benchTasks(now time.Time) (tasks []simulator.Task) {
	now = now.Truncate(time.Hour)
	for i := range 30 {
		start := now.Add(-time.Duration(24*i+2) * time.Hour)
		t := simulator.Task{
			BackupTaskID: fmt.Sprintf(
				"bt-%d",
				i,
			), InstanceID: "null", Status: "COMPLETED", Size: 2000, BackupType: "FullBackup", Start: simulator.Millis(start),
			Finish: simulator.Millis(
				start.Add(time.Hour),
			), Expire: simulator.Millis(start.Add(90 * 24 * time.Hour)), Snapshot: &simulator.Snapshot{InstanceName: "bench", Version: "3.3"},
		}
		for j := range 20 {
			t.SubTasks = append(t.SubTasks, simulator.SubTask{
				Database: fmt.Sprintf(
					"database_%d",
					j%3,
				), Table: fmt.Sprintf("cdc_ods_t2030_lcpf_api_topic_msg_with_a_long_name_%02d", j), Status: "success",
				Start: simulator.Seconds(start), Finish: simulator.Seconds(start.Add(time.Hour)), Size: 10 + j, Detail: "[]",
			})
		}
		tasks = append(tasks, t)
	}
	return tasks
}

// floor runs this test's binary as the process that only fetches: see TestMain.
func (a *benchAPI) floor(b *testing.B, n int, scan bool) (c cost) {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "BENCH_FLOOR="+a.url, fmt.Sprintf("BENCH_FLOOR_REQUESTS=%d", n), fmt.Sprintf("BENCH_FLOOR_SCAN=%t", scan))
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, &c)
	}
	if err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	return c
}

// configuration returns the file of an exporter over n instances.
func (a *benchAPI) configuration(b *testing.B, n int) (file string) {
	b.Helper()
	file = filepath.Join(b.TempDir(), "bench.yml")
	var text strings.Builder
	fmt.Fprintf(
		&text,
		"api: {endpoint: %q, timeout: 60s, requests_per_second: 1000000, concurrency: %d}\naccounts: {default: {access_key_id: id, "+
			"access_key_secret: secret}}\ninstances:\n",
		a.url,
		benchInFlight,
	)
	for i := range n {
		fmt.Fprintf(&text, "- {instance_id: c-%d, region_id: cn-hangzhou}\n", i)
	}
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		b.Fatal(err)
	}
	return file
}

func freeAddressOf(b *testing.B) string {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	_ = l.Close()
	return l.Addr().String()
}

// scrape starts the exporter over n instances, and measures some scrapes after a first one.
func (a *benchAPI) scrape(b *testing.B, binary string, n int, gzip bool) cost {
	b.Helper()
	file := a.configuration(b, n)
	address := freeAddressOf(b)
	cmd := exec.Command(binary, "--config.file="+file, "--web.listen-address="+address, "--scrape.timeout=2m")
	logged := &bytes.Buffer{}
	cmd.Stderr = logged
	started := time.Now()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	end := sync.OnceFunc(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	defer end()

	get := func() {
		req, err := http.NewRequest(http.MethodGet, "http://"+address+"/metrics", nil)
		if err != nil {
			b.Fatal(err)
		}
		if req.Header.Set("Accept-Encoding", "identity"); gzip {
			req.Header.Set("Accept", benchAccept)
			req.Header.Set("Accept-Encoding", "gzip")
		}
		for try := 0; ; try++ {
			res, err := http.DefaultClient.Do(req)
			if err != nil && try < 1000 { // not there yet
				time.Sleep(5 * time.Millisecond)
				continue
			}
			if err != nil {
				b.Fatal(err)
			}
			size, err := io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
			if err != nil || res.StatusCode != http.StatusOK || size < int64(n)*30 || gzip != (res.Header.Get("Content-Encoding") == "gzip") {
				b.Fatal(res.Status, size, err, res.Header)
			}
			return
		}
	}
	get()
	first := time.Since(started)
	began, before := time.Now(), cpuOf(b, cmd.Process.Pid)
	for range benchScrapes(n) {
		get()
	}
	scrapes := time.Duration(benchScrapes(n))
	c := cost{Wall: time.Since(began) / scrapes, CPU: (cpuOf(b, cmd.Process.Pid) - before) / scrapes, Peak: peakOf(b, cmd.Process.Pid)}
	end()
	c.First = first
	c.Lines = bytes.Count(logged.Bytes(), []byte("\n"))
	return c
}

// cpuOf is the CPU time of a process so far.
func cpuOf(b *testing.B, pid int) time.Duration {
	b.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Skip("only Linux tells what another process took: ", err)
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	var user, system int64
	_, _ = fmt.Sscan(fields[11]+" "+fields[12], &user, &system)
	return time.Duration(user+system) * 10 * time.Millisecond // of 100 ticks a second, everywhere
}

// peakOf is the most resident memory that a process had, in MB.
func peakOf(b testing.TB, pid int) float64 {
	b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	var kB float64
	if _, after, ok := strings.Cut(string(status), "VmHWM:"); ok {
		_, _ = fmt.Sscan(after, &kB)
	}
	return kB * 1024 / 1e6
}

// fetchAll fetches what a scrape fetches, without the exporter, and prints its cost: the least that a scrape can cost.
func fetchAll(url string) error {
	var n int
	if _, err := fmt.Sscan(os.Getenv("BENCH_FLOOR_REQUESTS"), &n); err != nil {
		return err
	}
	scan := os.Getenv("BENCH_FLOOR_SCAN") == "true"
	transport := &http.Transport{MaxIdleConnsPerHost: benchInFlight, DisableCompression: true}
	round := func() error {
		var workers sync.WaitGroup
		queue := make(chan struct{}, n)
		for range n {
			queue <- struct{}{}
		}
		close(queue)
		failed := make(chan error, benchInFlight)
		for range benchInFlight {
			workers.Go(func() {
				var body bytes.Buffer
				for range queue {
					res, err := (&http.Client{Transport: transport}).Get(url)
					if err != nil {
						failed <- err
						return
					}
					body.Reset()
					_, err = body.ReadFrom(res.Body)
					_ = res.Body.Close()
					if err != nil || scan && bytes.Count(body.Bytes(), []byte{'"'}) == 0 {
						failed <- fmt.Errorf("a body without quotes: %w", err)
						return
					}
				}
			})
		}
		workers.Wait()
		close(failed)
		return <-failed
	}
	if err := round(); err != nil {
		return err
	}
	began, before := time.Now(), cpuTime()
	scrapes := benchScrapes(n)
	for range scrapes {
		if err := round(); err != nil {
			return err
		}
	}
	return json.NewEncoder(os.Stdout).
		Encode(cost{Wall: time.Since(began) / time.Duration(scrapes), CPU: (cpuTime() - before) / time.Duration(scrapes)})
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
