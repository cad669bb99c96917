package fleet

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/log"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
	"git.example.com/starrocks/starrocks_backup_exporter/apiclient/simulator"
)

// Two Prometheus servers with different deadlines take turns: what is too short for one of them is logged once, not at every turn.
func TestLogOfTwoDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newVirtualWorld(t, simulator.Options{})
		for n := range 30 {
			id := fmt.Sprintf("c-%d", n)
			w.set(id, 1, nil)
			w.configure(id)
		}
		w.set("c-denied", 1, simulator.Denied("sr:DescribeBackups"))
		w.configure("c-denied")
		s := w.scraper()
		for range 10 {
			for _, deadline := range []time.Duration{600 * time.Millisecond, 20 * time.Second} {
				scrape(s, deadline)
				time.Sleep(time.Minute)
			}
		}
		var text string
		for line := range strings.Lines(w.log.String()) {
			if !strings.HasPrefix(line, "level=debug") {
				text += line
			}
		}
		for line, want := range map[string]int{
			"the scrape deadline is too short": 1, // for the hasty server
			"reading backups failed":           2, // the denied instance, once for each server
			"reading backups works":            0,
			"fewer instances":                  0,
		} {
			if n := strings.Count(text, line); n != want {
				t.Errorf("%q is logged %d times instead of %d:\n%s", line, n, want, text)
			}
		}
	})
}

// A client that asks for ever new deadlines does not fill the memory.
func TestLogForgetsDeadlines(t *testing.T) {
	s := NewScraper(log.NewNopLogger(), time.Now, func() {})
	for n := range 10 * maxDeadlines {
		scrape(s, time.Duration(n+1)*time.Second)
	}
	if n := len(s.history.logged); n == 0 || n > maxDeadlines {
		t.Errorf("%d deadlines are remembered", n)
	}
}

// Tasks of another instance are logged when they appear, change in number, and disappear.
func TestLogOfForeignTasks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lister := &fakeLister{tasks: map[string][]apiclient.Backup{}, fail: map[string]error{}}
		s, w := NewScraper(log.NewNopLogger(), time.Now, func() {}), &strings.Builder{}
		s.logger = log.NewLogfmtLogger(w)
		s.SetFleet(fleetOf(1, lister))
		own, foreign := apiclient.Backup{InstanceID: "c-00", TaskID: "1"}, apiclient.Backup{InstanceID: "c-other", TaskID: "2"}
		for _, tasks := range [][]apiclient.Backup{{own}, {own, foreign}, {own, foreign}, {foreign, foreign}, {own}, {own}} {
			lister.tasks["c-00"] = tasks
			scrape(s, time.Second)
			lister.fail["c-00"] = errors.New("in between, a read fails")
			scrape(s, time.Second)
			delete(lister.fail, "c-00")
		}
		var got []string
		for line := range strings.Lines(w.String()) {
			if strings.Contains(line, "another instance") {
				got = append(got, line[strings.Index(line, "tasks=")+len("tasks="):len(line)-1])
			}
		}
		if want := "1 2 0"; strings.Join(got, " ") != want {
			t.Errorf("logged %v, want %s:\n%s", got, want, w)
		}
	})
}
