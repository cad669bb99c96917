//go:build system

package test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient/simulator"
)

const (
	slowReaders = 40 // the default of --web.max-requests
	// slowReadersPeak is the resident memory, in MB, that they may take.
	slowReadersPeak = 300
)

// 40 clients that read a large exposition slowly hold little memory, and further requests get status 503.
func TestSlowReaders(t *testing.T) {
	now := time.Now().Truncate(time.Hour)
	task := simulator.Task{
		BackupTaskID: "bt-1", InstanceID: "null", Status: "COMPLETED", Size: 2000, Start: simulator.Millis(now.Add(-2 * time.Hour)),
		Finish: simulator.Millis(now.Add(-time.Hour)), Expire: simulator.Millis(now.Add(90 * 24 * time.Hour)),
	}
	for i := range 500 {
		task.SubTasks = append(task.SubTasks, simulator.SubTask{
			Database: fmt.Sprintf("database_%d", i%3), Table: fmt.Sprintf("a_table_with_a_long_name_%04d", i), Status: "success",
			Start: simulator.Seconds(now.Add(-2 * time.Hour)), Finish: simulator.Seconds(now.Add(-time.Hour)), Size: i % 50,
		})
	}
	sim := simulator.New(simulator.Options{AccessKeys: map[string]string{"id": "secret"}})
	var instances strings.Builder
	for i := range 110 {
		id := fmt.Sprintf("c-%d", i)
		sim.Set(simulator.Instance{
			InstanceID: id, RegionID: "cn-hangzhou", Rendered: "all alike",
			Tasks: func(time.Time) []simulator.Task { return []simulator.Task{task} },
		})
		fmt.Fprintf(&instances, "- {instance_id: %s, region_id: cn-hangzhou}\n", id)
	}
	answering := make(chan struct{}) // closed once all requests have come, so that all wait for the same collection
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-answering
		sim.ServeHTTP(w, r)
	}))
	t.Cleanup(api.Close)
	answer := sync.OnceFunc(func() { close(answering) })
	t.Cleanup(answer)
	file := filepath.Join(t.TempDir(), "slow.yml")
	text := fmt.Sprintf("api: {endpoint: %q, timeout: 1h, requests_per_second: 1000}\n"+
		"accounts: {default: {access_key_id: id, access_key_secret: secret}}\ninstances:\n%s", api.URL, instances.String())
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	address := freeAddress(t)
	process := start(t, build(t), "--config.file="+file, "--web.listen-address="+address, "--scrape.timeout=1h")
	eventually(t, "listening", func() error { _, err := fetch(t, "http://"+address+"/-/ready"); return err })

	const more = 10
	type reader struct {
		*bufio.Reader

		status int
	}
	readers := make(chan reader)
	for i := range slowReaders + more {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_ = c.(*net.TCPConn).SetReadBuffer(4 << 10)
		request := "GET /metrics HTTP/1.1\r\nHost: x\r\n"
		if i%2 == 0 {
			request += "Accept: " + benchAccept + "\r\nAccept-Encoding: gzip\r\n"
		}
		if _, err := io.WriteString(c, request+"\r\n"); err != nil {
			t.Fatal(err)
		}
		go func() {
			r := bufio.NewReaderSize(c, 512)
			var proto string
			var status int
			if _, err := fmt.Fscan(r, &proto, &status); err != nil {
				status = 0
			}
			readers <- reader{r, status} // and reads no more
		}()
	}
	for range more { // the others wait for the API
		select {
		case r := <-readers:
			if r.status != http.StatusServiceUnavailable {
				t.Errorf("status %d before the API has answered", r.status)
			}
		case <-time.After(10 * time.Minute):
			t.Fatalf("more than %d requests wait for the API", slowReaders)
		}
	}
	answer()
	for range slowReaders {
		if r := <-readers; r.status != http.StatusOK {
			t.Errorf("status %d", r.status)
		}
	}
	peak := peakOf(t, process.Pid)
	t.Logf("%d slow readers: %.0f MB at the peak", slowReaders, peak)
	if peak > slowReadersPeak {
		t.Errorf("%.0f MB at the peak, more than %d MB", peak, slowReadersPeak)
	}
	eventually(t, "another scrape, once the slow readers are given up", func() error {
		body, err := fetch(t, "http://"+address+"/metrics")
		if err == nil && len(body) < 16e6 {
			t.Fatalf("an exposition of %d bytes tests little", len(body))
		}
		return err
	})
}
