package collector_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/go-kit/log"
	"github.com/prometheus/client_golang/prometheus"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
	"git.example.com/starrocks/starrocks_backup_exporter/collector"
	"git.example.com/starrocks/starrocks_backup_exporter/collector/fleet"
	"git.example.com/starrocks/starrocks_backup_exporter/collector/health"
	"git.example.com/starrocks/starrocks_backup_exporter/config"
)

// BenchmarkRender renders 1,000 instances of 30 tasks and 20 tables, with gzip.
func BenchmarkRender(b *testing.B) {
	result := &fleet.Result{At: noon}
	limits := health.Limits{MaxAge: 26 * time.Hour, StuckAfter: 4 * time.Hour, ExpiringWithin: 24 * time.Hour, ShrunkBelow: 0.5}
	for n := range 1000 {
		list := health.NewList(nil, 0, noon)
		for day := range 30 {
			start := noon.Add(-time.Duration(24*day+2) * time.Hour)
			task := apiclient.Backup{
				TaskID: fmt.Sprint("bt-", day), Status: apiclient.StatusCompleted, Start: start, Finish: start.Add(time.Hour), DiskBytes: 2e12,
			}
			task.SetSubTasks(subtasks(20))
			list.Add(task)
		}
		facts, err := health.Examine(list, 500)
		if err != nil {
			b.Fatal(err)
		}
		result.Instances = append(result.Instances, fleet.InstanceResult{
			Instance: config.Instance{InstanceID: fmt.Sprintf("c-%04d", n), RegionID: "cn-hangzhou"},
			Health:   facts.Judge(limits, noon), Facts: facts, Limits: limits, Totals: fleet.InstanceTotals{LastRead: noon},
		})
	}
	scrape := func(*http.Request) *fleet.Result { return result }
	handler := collector.NewHandler(scrape, prometheus.NewRegistry(), log.NewNopLogger())
	request := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/metrics", http.NoBody)
	request.Header.Set("Accept", "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8")
	request.Header.Set("Accept-Encoding", "gzip")
	b.ReportAllocs()
	for b.Loop() {
		w := httptest.NewRecorder()
		if handler.ServeHTTP(w, request); w.Code != http.StatusOK || w.Body.Len() < 100_000 {
			b.Fatal(w.Code, w.Body.Len())
		}
	}
}

// subtasks returns the API's list of some subtasks.
func subtasks(n int) string {
	all := ""
	for i := range n {
		all += fmt.Sprintf(`,{"DataBase":"database_%d","Table":"cdc_ods_t2030_lcpf_api_topic_msg_with_a_long_name_%02d","Status":"success",`+
			`"StartTime":1772600000,"FinishedTime":1772603600,"Size":%d,"Detail":"[]"}`, i%3, i, 10+i)
	}
	return "[" + all[1:] + "]"
}
