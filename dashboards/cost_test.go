package main

import (
	"fmt"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
)

// BenchmarkCost asks each query of both dashboards over a week of 1,000 instances, a sample a minute. It builds them first, in minutes,
// and leaves out of the past what no query reads there. It measures CPU time, on which a busy machine has no influence.
//
//	go test -run '^$' -bench Cost -benchtime 1x -timeout 1h .
func BenchmarkCost(b *testing.B) {
	const instances = 1000
	s := newServer(b, false)
	s.fill(weekInMinutes, weekOf(instances))
	runtime.GC()
	for name, v := range views(b) {
		v.visitPanels(func(p panelView) {
			for _, q := range p.Targets {
				b.Run(fmt.Sprintf("%s/%s/%s", name, p.Title, q.RefID), func(b *testing.B) {
					text := q.Expr
					if name == "instance.json" {
						text = oneInstance.Replace(text)
					}
					text = s.expand(text)
					began := cpu(b)
					for range b.N {
						if q.Instant {
							s.instant(text)
						} else {
							s.over(text, p.step())
						}
					}
					took := (cpu(b) - began) / time.Duration(b.N)
					b.ReportMetric(took.Seconds()*1000, "cpu-ms/op")
					if took > time.Second {
						b.Errorf("%v", took)
					}
				})
			}
		})
	}
	for _, variable := range []string{"$urgent", "$largest", "$expiring"} {
		b.Run("variable/"+variable[1:], func(b *testing.B) {
			began := cpu(b)
			for range b.N {
				s.expand(variable)
			}
			b.ReportMetric((cpu(b)-began).Seconds()*1000/float64(b.N), "cpu-ms/op")
		})
	}
}

// cpu is the CPU time that the process has taken.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// steady is a series whose value is steady, or grows each minute, of the last minutes.
type steady struct {
	labels       labels.Labels
	value, grows float64
	minutes      int
}

// readOverTime are the metrics that queries read over a week, of every instance; those of conditions only of instances that a chart shows.
var readOverTime = regexp.MustCompile(`^(ALERTS|starrocks_backup_(tasks_finished_total|last_success_data_size_bytes))`)

// heldADay are the metrics that queries read over 26 hours.
var heldADay = regexp.MustCompile(`^(up|starrocks_backup_(up|exporter_build_info|instance_info|.*_timestamp_seconds|scrape_errors_total))$`)

const weekInMinutes = 7 * 24 * 60

func weekOf(instances int) (all []steady) {
	scraper := []string{"job", "backup", "instance", "exporter:10980"}
	add := func(metric string, value, grows float64, pairs ...string) {
		minutes := 30
		switch l := strings.Join(pairs, ","); {
		case readOverTime.MatchString(metric), strings.Contains(l, "condition,overdue"), strings.Contains(l, "0,region_id"):
			minutes = weekInMinutes // and each tenth instance, which is unhealthy
		case heldADay.MatchString(metric):
			minutes = 27 * 60
		}
		all = append(all, steady{labels.FromStrings(append([]string{"__name__", metric}, pairs...)...), value, grows, minutes})
	}
	add("up", 1, 0, scraper...)
	add("starrocks_backup_exporter_build_info", 1, 0, scraper...)
	add("ALERTS", 1, 0, "alertname", "StarRocksBackupWatchdog", "alertstate", "firing", "severity", "none")
	for n := range instances {
		recorded := []string{"job", "backup", "instance_id", fmt.Sprintf("c-%04d", n), "region_id", "cn-hangzhou"}
		scraped := append(append([]string{}, recorded...), scraper[2:]...)
		metric := func(name string, value, grows float64, pairs ...string) {
			add("starrocks_backup_"+name, value, grows, append(pairs, scraped...)...)
		}
		holds := 0.0
		if n%10 == 0 {
			holds = 1
			alert := append([]string{"alertname", "StarRocksBackupOverdue", "severity", "critical"}, recorded...)
			add("ALERTS", 1, 0, append(alert, "alertstate", "firing")...)
			add("ALERTS_FOR_STATE", float64(start.Unix()), 0, alert...)
		}
		for _, c := range everyCondition {
			metric("condition", holds, 0, "condition", c)
			add("starrocks_backup:condition", holds, 0, append(recorded, "condition", c)...)
		}
		for _, c := range []string{"unreadable", "access_denied", "throttled"} {
			metric("read_condition", 0, 0, "condition", c)
			add("starrocks_backup:condition", 0, 0, append(recorded, "condition", c)...)
		}
		for _, status := range []string{"completed", "failed", "canceled"} {
			metric("tasks_finished_total", 0, 1./1440, "status", status)
		}
		for _, reason := range []string{"timeout", "throttled", "forbidden", "network"} {
			metric("scrape_errors_total", 0, 0, "reason", reason)
		}
		metric("up", 1, 0)
		metric("instance_info", 1, 0, "instance_name", fmt.Sprintf("name-of-%d", n), "account", "default")
		metric("last_read_timestamp_seconds", float64(start.Unix()), 60)
		metric("last_success_timestamp_seconds", float64(start.Unix()-3600-int64(n)), 60)
		metric("deadline_timestamp_seconds", float64(start.Unix()+86400-int64(n)), 60)
		metric("restorable_until_timestamp_seconds", float64(start.Unix()+7*86400+int64(n)), 60)
		metric("restorable_backups", 7, 0)
		metric("last_success_data_size_bytes", 1<<40+float64(n)*1e6, 1e6)
		if n != 10 {
			continue
		}
		for table := range 500 { // of the instance that is shown alone
			pairs := []string{"database", "orders", "table", fmt.Sprintf("t-%d", table)}
			metric("subtask_size_bytes", 1<<30, float64(table), pairs...)
			metric("subtask_duration_seconds", 60, 0, pairs...)
			metric("subtask_failed", 0, 0, pairs...)
		}
	}
	return all
}

// fill stores minutes of the lines.
func (s *server) fill(minutes int, lines []steady) {
	s.t.Helper()
	refs := make([]storage.SeriesRef, len(lines))
	for minute := range minutes {
		s.now = s.now.Add(time.Minute)
		a := s.db.AppenderV2(s.t.Context())
		for n, l := range lines {
			if minute < minutes-l.minutes {
				continue
			}
			ref, err := a.Append(refs[n], l.labels, 0, s.now.UnixMilli(), l.value+l.grows*float64(minute), nil, nil, storage.AppendV2Options{})
			if err != nil {
				s.t.Fatal(err)
			}
			refs[n] = ref
		}
		if err := a.Commit(); err != nil {
			s.t.Fatal(err)
		}
	}
}
