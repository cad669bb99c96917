package main

import (
	"io"
	"slices"
	"strings"
	"testing"
	"text/template"
)

func generate(t *testing.T, arguments ...string) string {
	t.Helper()
	var b strings.Builder
	if err := run(arguments, &b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestFilesAreGenerated(t *testing.T) {
	if readText(t, "rules.yml") != generate(t) {
		t.Error("rules.yml is not what the table says: run make rules")
	}
	if readText(t, "../deploy/kubernetes/prometheusrule.yaml") != generate(t, "--format=kubernetes") {
		t.Error("deploy/kubernetes/prometheusrule.yaml is not what the table says: run make rules")
	}
}

func TestParametersChangeTheRules(t *testing.T) {
	text := generate(t, "--runbook-url=https://example.com/runbooks", "--cluster-label=environment", "--no-watchdog",
		"--severity=critical=P1", "--severity=StarRocksBackupFailed=P2", "--severity=StarRocksBackupInstanceUnreadable/critical=P3",
		"--for=StarRocksBackupMissing=2h", "--for=StarRocksBackupInstanceUnreadable/critical=12h", "--for=StarRocksBackupRegionUnreadable=15m")
	_, alerts := parse(t, text)
	got := map[string]string{}
	for _, a := range alerts {
		got[a.Alert] = strings.TrimSpace(got[a.Alert] + " " + a.Labels["severity"] + " " + a.For)
		if want := "https://example.com/runbooks#" + strings.ToLower(a.Alert); a.Annotations["runbook_url"] != want {
			t.Errorf("runbook_url is %q, want %q", a.Annotations["runbook_url"], want)
		}
	}
	for name, want := range map[string]string{
		"StarRocksBackupOverdue": "P1", "StarRocksBackupFailed": "P2", "StarRocksBackupMissing": "P1 2h", "StarRocksBackupStuck": "warning",
		"StarRocksBackupInstanceUnreadable": "warning 30m P3 12h", "StarRocksBackupRegionUnreadable": "P1 15m", "StarRocksBackupWatchdog": "",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
	if text := generate(t, "--severity=critical=1", "--for=StarRocksBackupExporterDown=5s"); !strings.Contains(text, `severity: "1"`) ||
		strings.Contains(text, "offset 0s") {
		t.Error("a severity is a number, or an offset is 0")
	}
	if label.MatchString(text) {
		t.Error("the label cluster is left")
	}
}

// Where there is no label cluster, vmalert 1.79 passes nil to the templates, and drops an alert whose annotations ask an invalid query.
func TestAnnotationsWithoutTheLabelCluster(t *testing.T) {
	_, alerts := parse(t, generate(t))
	labels, asked := map[string]string{"instance_id": "c-1", "region_id": "cn-hangzhou"}, 0
	nothing := func(...any) string { return "" }
	functions := template.FuncMap{
		"query": func(text string) []any {
			if asked++; strings.Contains(text, "%!") {
				t.Errorf("asks %s", text)
			}
			return nil
		},
		"first": nothing, "value": nothing, "label": nothing, "humanize": nothing, "humanizeDuration": nothing,
		"humanizePercentage": nothing, "humanize1024": nothing, "humanizeTimestamp": nothing,
	}
	for _, a := range alerts {
		for name, text := range a.Annotations {
			parsed, err := template.New(name).Funcs(functions).Parse("{{ $labels := .labels }}{{ $value := .value }}" + text)
			if err != nil {
				t.Fatal(err)
			}
			if err := parsed.Execute(io.Discard, map[string]any{"labels": labels, "value": 1.0}); err != nil {
				t.Errorf("%s of %s: %v", name, a.Alert, err)
			}
		}
	}
	if asked < 20 {
		t.Errorf("asked only %d queries", asked)
	}
}

func TestUnknownParametersAreErrors(t *testing.T) {
	for argument, want := range map[string]string{
		"--severity=StarRocksBackupLost=critical":      `no alert or severity "StarRocksBackupLost"`,
		"--severity=critical=":                         "critical is empty",
		"--for=StarRocksBackupLost=1h":                 `no alert "StarRocksBackupLost"`,
		"--for=critical=1h":                            `no alert "critical"`,
		"--for=StarRocksBackupRegionUnreadable=soon":   "StarRocksBackupRegionUnreadable",
		"--for=StarRocksBackupStuck=2x":                "2x",
		"--for=StarRocksBackupMissing=":                "StarRocksBackupMissing is empty",
		"--for=StarRocksBackupRegionUnreadable=26m":    "longer",
		"--for=StarRocksBackupCredentialsRejected=14m": "longer",
		"--for=StarRocksBackupInstanceUnreadable=5m":   "longer",
		"--cluster-label=k8s-cluster":                  `"k8s-cluster" cannot be`,
		"--cluster-label=":                             `"" cannot be`,
	} {
		if err := run([]string{argument}, &strings.Builder{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", argument, err, want)
		}
	}
}

// Mimir and Grafana Cloud take at most 20 rules in a group, and Alibaba's managed Prometheus keeps records apart from alerts.
func TestGroupsFitOtherSystems(t *testing.T) {
	for _, text := range []string{generate(t), generate(t, "--only=records"), generate(t, "--only=alerts")} {
		for _, g := range parseGroups(t, text) {
			if len(g.Rules) > 20 {
				t.Errorf("%s has %d rules", g.Name, len(g.Rules))
			}
			if slices.ContainsFunc(g.Rules, func(r rule) bool { return r.Record != "" }) &&
				slices.ContainsFunc(g.Rules, func(r rule) bool { return r.Alert != "" }) {
				t.Errorf("%s has records and alerts", g.Name)
			}
		}
	}
	recorded, none := parse(t, generate(t, "--only=records"))
	more, alerts := parse(t, generate(t, "--only=alerts"))
	if len(recorded) == 0 || len(none) != 0 || len(more) != 0 || len(alerts) == 0 {
		t.Errorf("%d records and %d alerts, %d records and %d alerts", len(recorded), len(none), len(more), len(alerts))
	}
}
