package collector_test

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"starrocks_backup_exporter/apiclient/simulator"
)

// One scrape end to end, over real HTTP: 30 tasks of 20 subtasks an instance. The simulator renders its answers
// beforehand, but what it costs to send them is in the CPU time, for it runs in the same process.
func BenchmarkScrape(b *testing.B) {
	for _, n := range []int{10, 100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			w := newWorld(b, simulator.Options{}, time.Now, strings.Replace(many(n), "timeout: 30s", "concurrency: 64", 1))
			var tasks []simulator.Task
			for i := range 30 {
				t := backup(fmt.Sprintf("bt-%d", i), "COMPLETED", float64(24*i))
				for j := range 20 {
					t.SubTasks = append(t.SubTasks, sub(fmt.Sprintf("database_%d", j%3), fmt.Sprintf("cdc_ods_t2030_lcpf_api_topic_msg_with_a_long_name_%02d", j), j, "success"))
				}
				tasks = append(tasks, t)
			}
			for i := range n {
				w.sim.Set(simulator.Instance{InstanceID: fmt.Sprintf("c-%d", i), RegionID: "cn-hangzhou", Rendered: true, Tasks: lists(tasks...)})
			}
			var size int
			scrape := func() {
				size = len(w.get("/metrics", "X-Prometheus-Scrape-Timeout-Seconds", "60"))
			}
			scrape()
			before := cpuTime()
			b.ReportAllocs()
			for b.Loop() {
				scrape()
			}
			b.ReportMetric(float64((cpuTime()-before).Microseconds())/1000/float64(b.N), "cpu-ms/op")
			b.ReportMetric(float64(size), "exposition-B")
			b.ReportMetric(peakMemory(), "process-peak-MB")
		})
	}
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// peakMemory is of the whole process so far, in MB; 0 where the system does not tell.
func peakMemory() float64 {
	status, _ := os.ReadFile("/proc/self/status")
	var kB float64
	if _, after, ok := strings.Cut(string(status), "VmHWM:"); ok {
		_, _ = fmt.Sscan(after, &kB)
	}
	return kB / 1000
}
