//go:build system

package test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient/simulator"
)

// The process is killed at random, most times in the middle of a scrape, while backups go on. After each restart the first scrape
// says what is true by then of every instance, and counts nothing that ended before.
func TestKilledAtRandom(t *testing.T) {
	const instances, restarts = 20, 25
	var ended atomic.Int64 // tasks of each instance
	sim := simulator.New(simulator.Options{AccessKeys: map[string]string{"id": "secret"}, PageCap: 4})
	began := time.Now().Truncate(time.Hour).Add(-100 * time.Hour)
	finish := func(task int64) time.Time { return began.Add(time.Duration(task)*time.Hour + time.Minute) }
	for i := range instances {
		sim.Set(simulator.Instance{InstanceID: fmt.Sprintf("c-%d", i), RegionID: "cn-hangzhou", Tasks: func(time.Time) (tasks []simulator.Task) {
			for k := range ended.Load() {
				status := []string{"COMPLETED", "FAILED", "COMPLETED"}[k%3]
				tasks = append(tasks, simulator.Task{
					BackupTaskID: fmt.Sprintf(
						"bt-%d",
						k,
					), Status: status, Start: simulator.Millis(finish(k).Add(-time.Minute)), Finish: simulator.Millis(finish(k)),
				})
			}
			return tasks
		}, Fault: simulator.Delay(5 * time.Millisecond)})
	}
	api := httptest.NewServer(http.Handler(sim))
	t.Cleanup(func() { api.CloseClientConnections(); api.Close() })
	address, file := freeAddress(t), filepath.Join(t.TempDir(), "fleet.yml")
	text := fmt.Sprintf(
		"api: {endpoint: %q, requests_per_second: 100000, concurrency: 4}\naccounts: {default: {access_key_id: id, access_key_secret: "+
			"secret}}\ninstances:\n",
		api.URL,
	)
	for i := range instances {
		text += fmt.Sprintf("- {instance_id: c-%d, region_id: cn-hangzhou, max_age: 3650d}\n", i)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	binary := build(t)
	for n := range int64(restarts) {
		ended.Add(1 + n%3)
		process := start(t, binary, "--config.file="+file, "--web.listen-address="+address)
		eventually(t, "a process that listens", func() error {
			c, err := net.Dial("tcp", address)
			if err == nil {
				_ = c.Close()
			}
			return err
		})
		exposition, err := fetch(t, "http://"+address+"/metrics")
		if err != nil {
			t.Fatal(err)
		}
		newest := ended.Load() - 1
		failures := 0
		if newest%3 == 1 {
			newest, failures = newest-1, 1
		}
		for i := range instances {
			labels := fmt.Sprintf(`instance_id="c-%d",region_id="cn-hangzhou"`, i)
			for series, want := range map[string]float64{
				"up{" + labels + "}":                                                                                  1,
				"consecutive_failures{" + labels + "}":                                                                float64(failures),
				"last_success_timestamp_seconds{" + labels + "}":                                                      float64(finish(newest).Unix()),
				`tasks_finished_total{` + labels + `,status="completed"}`:                                             0,
				`tasks_finished_total{` + labels + `,status="failed"}`:                                                0,
				`scrape_errors_total{instance_id="c-` + fmt.Sprint(i) + `",reason="timeout",region_id="cn-hangzhou"}`: 0,
			} {
				if line := "starrocks_backup_" + series + " " + strconv.FormatFloat(want, 'g', -1, 64) + "\n"; !strings.Contains(
					string(exposition),
					line,
				) {
					t.Fatalf("start %d: no %s in\n%s", n, line, exposition)
				}
			}
		}
		ended.Add(1) // the next scrape, which the process may not live to answer, has one more to count
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			_, _ = fetch(t, "http://"+address+"/metrics")
		}()
		time.Sleep(rand.N(60 * time.Millisecond))
		if err := process.Kill(); err != nil {
			t.Fatal(err)
		}
		_, _ = process.Wait()
		<-answered
	}
}
