package collector_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient/simulator"
)

// Whatever the names are, the exposition parses and the names come back: long ones cut, bytes that are not UTF-8 replaced.
func FuzzLabelValues(f *testing.F) {
	f.Add("dwd", "orders")
	f.Add("a\xff", "quote\" line\nbackslash\\")
	f.Add(strings.Repeat("é", 100), "er"+strings.Repeat("\xd3", 300))
	w := newWorld(f, simulator.Options{}, at(noon), oneInstance)
	f.Fuzz(func(t *testing.T, database, table string) {
		w.t = t
		w.sim.Set(
			simulator.Instance{
				InstanceID: "c-1",
				RegionID:   "cn-hangzhou",
				Tasks:      lists(backup("bt-1", "COMPLETED", 5, sub(database, table, 1, "success"))),
			},
		)
		parser := expfmt.NewTextParser(model.UTF8Validation)
		families, err := parser.TextToMetricFamilies(strings.NewReader(w.get("/metrics")))
		if err != nil {
			t.Fatal(err)
		}
		size := families["starrocks_backup_subtask_size_bytes"]
		if size == nil {
			t.Fatal("no subtask_size_bytes")
		}
		// OpenMetrics has the same lines.
		openMetrics := w.get("/metrics", "Accept", "application/openmetrics-text;version=1.0.0")
		if !strings.HasSuffix(openMetrics, "\n# EOF\n") {
			t.Error("OpenMetrics without its end")
		}
		if a, b := seriesOf(openMetrics, size.GetName()), seriesOf(w.get("/metrics"), size.GetName()); len(a) != 1 || !slices.Equal(a, b) {
			t.Errorf("OpenMetrics has %q, the text format %q", a, b)
		}
		got := map[string]string{}
		for _, l := range size.GetMetric()[0].GetLabel() {
			got[l.GetName()] = l.GetValue()
		}
		for name, want := range map[string]string{"database": database, "table": table} {
			if want == "null" { // the API's word for nothing
				want = ""
			}
			// JSON has no bytes that are not UTF-8: each is the replacement character.
			want = strings.Map(func(r rune) rune { return r }, want)
			const longest = 128
			if len(want) > longest {
				cut := strings.LastIndexByte(got[name], '~')
				if cut < 0 || len(got[name]) > longest || !strings.HasPrefix(want, got[name][:cut]) {
					t.Errorf("%s is %q, want %q cut to %d bytes", name, got[name], want, longest)
				}
			} else if got[name] != want {
				t.Errorf("%s is %q, want %q", name, got[name], want)
			}
		}
	})
}

// seriesOf are the lines of one metric.
func seriesOf(exposition, name string) (lines []string) {
	for line := range strings.Lines(exposition) {
		if strings.HasPrefix(line, name+"{") {
			lines = append(lines, line)
		}
	}
	return lines
}
