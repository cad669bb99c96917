package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/template"

	"go.yaml.in/yaml/v3"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
	"git.example.com/starrocks/starrocks_backup_exporter/collector/health"
)

// The public names: people route and silence by them.
var publicAlerts = []string{
	"StarRocksBackupOverdue critical",
	"StarRocksBackupMissing critical",
	"StarRocksBackupFailed warning",
	"StarRocksBackupFailingRepeatedly critical",
	"StarRocksBackupStuck warning",
	"StarRocksBackupExpiring critical",
	"StarRocksBackupRetentionTooShort warning",
	"StarRocksBackupShrunk warning",
	"StarRocksBackupTableFailed warning",
	"StarRocksBackupStatusUnknown warning",
	"StarRocksBackupImplausible warning", "StarRocksBackupSubscriptionEnding critical",
	"StarRocksBackupNoPolicy warning", "StarRocksBackupRestoreUntested warning",
	"StarRocksBackupRegionUnreadable critical",
	"StarRocksBackupInstanceUnreadable warning",
	"StarRocksBackupInstanceUnreadable critical",
	"StarRocksBackupRegionRejected critical",
	"StarRocksBackupCredentialsRejected critical",
	"StarRocksBackupCredentialsChanged warning",
	"StarRocksBackupAPIThrottled warning",
	"StarRocksBackupDiscoveryFailed warning", "StarRocksBackupDiscoveryFailed critical",
	"StarRocksBackupConfigReloadFailed warning",
	"StarRocksBackupExporterDown critical",
	"StarRocksBackupWatchdog none",
}

type rule struct {
	Record, Alert, Expr, For string
	Labels, Annotations      map[string]string
}

type ruleGroup struct {
	Name  string
	Rules []rule
}

func readText(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func parseGroups(t *testing.T, text string) []ruleGroup {
	t.Helper()
	var file struct{ Groups []ruleGroup }
	if err := yaml.Unmarshal([]byte(text), &file); err != nil {
		t.Fatal(err)
	}
	return file.Groups
}

func parse(t *testing.T, text string) (recorded, alerts []rule) {
	t.Helper()
	for _, g := range parseGroups(t, text) {
		for _, r := range g.Rules {
			if r.Alert != "" {
				alerts = append(alerts, r)
			} else {
				recorded = append(recorded, r)
			}
		}
	}
	return recorded, alerts
}

func readRules(t *testing.T) (recorded, alerts []rule) {
	t.Helper()
	return parse(t, readText(t, "rules.yml"))
}

func TestAlertsArePublicAndComplete(t *testing.T) {
	_, alerts := readRules(t)
	var names []string
	for _, a := range alerts {
		names = append(names, a.Alert+" "+a.Labels["severity"])
		for _, annotation := range []string{"summary", "description"} {
			if strings.TrimSpace(a.Annotations[annotation]) == "" {
				t.Errorf("%s (%s) has no %s", a.Alert, a.Labels["severity"], annotation)
			}
		}
		// GitHub's anchor of a heading of one word.
		if want := "alerts/README.md#" + strings.ToLower(a.Alert); a.Annotations["runbook_url"] != want {
			t.Errorf("%s (%s): runbook_url is %q, want %q", a.Alert, a.Labels["severity"], a.Annotations["runbook_url"], want)
		}
	}
	if !slices.Equal(names, publicAlerts) {
		t.Errorf("the alerts are %q, want %q", names, publicAlerts)
	}
}

// Every alert has one runbook, and every runbook an alert. A second heading of that name would take its anchor.
func TestEachAlertHasItsRunbook(t *testing.T) {
	_, alerts := readRules(t)
	var names []string
	for _, a := range alerts {
		names = append(names, a.Alert)
	}
	slices.Sort(names)
	names = slices.Compact(names)

	readme := readText(t, "README.md")
	var sections, anchors []string
	for _, heading := range regexp.MustCompile(`(?m)^(#+) +(.+?) *$`).FindAllStringSubmatch(readme, -1) {
		if heading[1] == "###" {
			sections = append(sections, heading[2])
		}
		anchors = append(anchors, strings.ToLower(heading[2]))
	}
	if slices.Sort(sections); !slices.Equal(sections, names) {
		t.Errorf("the runbooks are %q, the alerts %q", sections, names)
	}
	if slices.Sort(anchors); len(slices.Compact(slices.Clone(anchors))) != len(anchors) {
		t.Errorf("an anchor is there twice: %q", anchors)
	}

	part := regexp.MustCompile(`(?m)^\*\*([^*]+)\.\*\*(.*)$`)
	for section := range strings.SplitSeq(readme, "\n### ") {
		name, text, _ := strings.Cut(section, "\n")
		if !slices.Contains(names, name) {
			continue // what comes before the first
		}
		text, _, _ = strings.Cut(text, "\n## ")
		var parts []string
		for _, p := range part.FindAllStringSubmatch(text, -1) {
			if parts = append(parts, p[1]); len(strings.Fields(p[2])) < 3 {
				t.Errorf("%s: nothing follows %q", name, p[1])
			}
		}
		if want := []string{"Means", "How sure", "Check", "End it"}; !slices.Equal(parts, want) {
			t.Errorf("%s has the parts %q, want %q", name, parts, want)
		}
	}
}

func TestTableAgreesWithTheRules(t *testing.T) {
	_, alerts := readRules(t)
	var want []string
	for _, a := range alerts {
		waits := a.For
		if waits == "" {
			waits = "at once"
		}
		want = append(want, strings.Join([]string{a.Alert, a.Labels["severity"], waits}, " "))
	}
	var got []string
	for _, row := range regexp.MustCompile(`(?m)^\| \[(\w+)\]\(#(\w+)\) \| (\w+) \| ([\w ]+) \| .+ \|$`).FindAllStringSubmatch(readText(t,
		"README.md"), -1) {
		if row[2] != strings.ToLower(row[1]) {
			t.Errorf("%s links to #%s", row[1], row[2])
		}
		got = append(got, strings.Join([]string{row[1], row[3], row[4]}, " "))
	}
	if !slices.Equal(got, want) {
		t.Errorf("the table has %q, the rules %q", got, want)
	}
}

type sample struct{ Labels map[string]string }

// queries returns what an annotation asks Prometheus, every branch that has an answer taken.
func queries(t *testing.T, a rule, text string) (asked []string) {
	t.Helper()
	words := func(float64) string { return "" }
	parsed, err := template.New("").Funcs(template.FuncMap{
		"query": func(q string) []sample {
			asked = append(asked, q)
			return []sample{{map[string]string{"database": "", "table": "", "reason": ""}}}
		},
		"first": func(s []sample) sample { return s[0] }, "value": func(sample) float64 { return 0 },
		"label":       func(string, sample) string { return "" },
		"sortByLabel": func(_ string, s []sample) []sample { return s },
		"humanize":    words, "humanize1024": words, "humanizeDuration": words, "humanizeTimestamp": words,
	}).Option("missingkey=error").Parse("{{$labels := .Labels}}{{$value := .Value}}" + text)
	if err == nil {
		err = parsed.Execute(&strings.Builder{}, map[string]any{
			"Labels": map[string]string{
				"instance_id": "c-1",
				"region_id":   "cn-hangzhou",
				"job":         "starrocks_backup",
				"instance":    "localhost:10980",
				"account":     "default",
				"tags":        "team=data",
				"cluster":     "east",
				"provider":    "oidc_role_arn",
			},
			"Value": 0.0,
		})
	}
	if err != nil {
		t.Errorf("%s: %v", a.Alert, err)
	}
	return asked
}

var (
	metricName = regexp.MustCompile(`\bstarrocks_backup[:_][\w:]*\w`)
	matcher    = regexp.MustCompile(`\b(condition|reason)\s*(?:=~?|!=|!~)\s*\\?["']([^"'\\]*)`)
)

// No rule, text of an alert or line of a runbook names a metric, a condition or a reason that does not exist.
func TestNothingIsNamedThatDoesNotExist(t *testing.T) {
	recorded, alerts := readRules(t)
	metrics := map[string]bool{"starrocks_backup_exporter": true} // the program
	documented := regexp.MustCompile("(?m)^\\| `(starrocks_backup_\\w+)` \\|")
	for _, row := range documented.FindAllStringSubmatch(readText(t, "../docs/metrics.md"), -1) {
		metrics[row[1]] = true
	}
	exist := map[string][]string{}
	for _, c := range health.Conditions() {
		exist["condition"] = append(exist["condition"], string(c))
	}
	for _, r := range apiclient.Reasons() {
		exist["reason"] = append(exist["reason"], string(r))
	}
	exist["condition"] = append(exist["condition"], "unreadable", "access_denied", "throttled") // read conditions
	for _, r := range recorded {
		metrics[r.Record] = true
	}

	alerted := map[string]bool{} // conditions
	check := func(where, text string) {
		for _, name := range metricName.FindAllString(text, -1) {
			if !metrics[name] {
				t.Errorf("%s names the metric %s, which does not exist", where, name)
			}
		}
		for _, m := range matcher.FindAllStringSubmatch(text, -1) {
			for value := range strings.SplitSeq(m[2], "|") {
				if !slices.Contains(exist[m[1]], value) {
					t.Errorf("%s names the %s %q, which does not exist", where, m[1], value)
				}
			}
		}
	}
	for _, r := range recorded {
		check(r.Record, r.Expr)
	}
	for _, a := range alerts {
		check(a.Alert, a.Expr)
		for _, m := range matcher.FindAllStringSubmatch(a.Expr, -1) {
			alerted[m[2]] = true
		}
		for _, text := range a.Annotations {
			for _, query := range queries(t, a, text) {
				check(a.Alert, query)
				if strings.Contains(query, "[") || !strings.Contains(query, `{cluster="east",instance_id="c-1",region_id="cn-hangzhou"`) {
					t.Errorf("%s asks for more than one instance now: %s", a.Alert, query)
				}
			}
		}
	}
	check("the README", readText(t, "README.md"))
	for _, c := range exist["condition"] {
		if !alerted[c] {
			t.Errorf("no alert fires on the condition %s", c)
		}
	}
}
