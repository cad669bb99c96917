package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	grafana "github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/prometheus/prometheus/promql/parser"
)

// The files are what the generator writes, and Grafana's own schema knows every field in them.
func TestFiles(t *testing.T) {
	plugins.RegisterDefaultPlugins()
	for name, d := range dashboards() {
		want, err := d.json()
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(name)
		if err != nil || string(got) != string(want) {
			t.Errorf("%s is not what the generator writes (%v): run make dashboards", name, err)
		}
		//nolint:staticcheck // the schema that Grafana 10 and later import; its successor is for 12 and later
		var schema grafana.Dashboard
		if err := schema.UnmarshalJSONStrict(want); err != nil && err.Error() != "" { // an empty list of errors is not nil
			t.Errorf("%s: %v", name, err)
		}
	}
}

// view is what the checks look at.
type view struct {
	UID        string
	Templating struct{ List []variableView }
	Links      []struct{ URL string }
	Panels     []panelView
}

type variableView struct {
	Name, Type string
	Query      json.RawMessage
	Regex      string
	IncludeAll bool
}

type panelView struct {
	Type, Title, Description string
	Interval                 string
	MaxDataPoints            int
	GridPos                  struct{ X, Y, W, H int }
	Targets                  []struct {
		Expr, LegendFormat, RefID string
		Instant                   bool
	}
	FieldConfig struct {
		Defaults struct {
			Unit, NoValue string
			Decimals      *int
			Thresholds    struct{ Steps []struct{ Color string } }
		}
	}
	Panels []panelView
}

// oneInstance chooses an instance where the dashboard wants one.
var oneInstance = strings.NewReplacer(`instance_id=~"$instance"`, `instance_id=~"c-0010"`)

// step is the step at which Grafana asks for a week.
func (p panelView) step() time.Duration {
	if p.Interval == "1d" {
		return 24 * time.Hour
	}
	points := p.MaxDataPoints
	if points == 0 {
		points = p.GridPos.W * 1600 / 24
	}
	return (7 * 24 * time.Hour / time.Duration(points)).Round(time.Minute)
}

func views(t testing.TB) map[string]view {
	t.Helper()
	all := map[string]view{}
	for name, d := range dashboards() {
		text, err := d.json()
		if err != nil {
			t.Fatal(err)
		}
		var v view
		if err := json.Unmarshal(text, &v); err != nil {
			t.Fatal(err)
		}
		all[name] = v
	}
	return all
}

// visitPanels calls visit for each panel, including those of collapsed rows.
func (v view) visitPanels(visit func(panelView)) {
	for _, p := range v.Panels {
		visit(p)
		for _, hidden := range p.Panels {
			visit(hidden)
		}
	}
}

func TestPanels(t *testing.T) {
	for name, v := range views(t) {
		titles := map[string]bool{}
		v.visitPanels(func(p panelView) {
			if p.Title == "" || titles[p.Title] {
				t.Errorf("%s: title %q is empty or not unique", name, p.Title)
			}
			titles[p.Title] = true
			if p.Type == "row" {
				return
			}
			d := p.FieldConfig.Defaults
			if len(p.Description) < 8 || d.Unit == "" || d.NoValue == "" || d.Decimals == nil || len(d.Thresholds.Steps) == 0 ||
				len(p.Targets) == 0 {
				t.Errorf("%s: %q lacks a description, unit, decimals, thresholds, a word for no value, or queries", name, p.Title)
			}
			if c := d.Thresholds.Steps; len(c) > 0 && (c[0].Color == good || c[0].Color == bad) {
				t.Errorf("%s: %q shows what is not known as %s", name, p.Title, c[0].Color)
			}
		})
		checkPlaces(t, name, v.Panels)
		for _, p := range v.Panels {
			checkPlaces(t, name, p.Panels)
		}
	}
}

// checkPlaces finds panels that overlap or leave the grid.
func checkPlaces(t *testing.T, name string, panels []panelView) {
	t.Helper()
	for n, a := range panels {
		if a.GridPos.W < 1 || a.GridPos.H < 1 || a.GridPos.X < 0 || a.GridPos.X+a.GridPos.W > 24 {
			t.Errorf("%s: %q leaves the grid: %+v", name, a.Title, a.GridPos)
		}
		for _, b := range panels[n+1:] {
			if a.GridPos.X < b.GridPos.X+b.GridPos.W && b.GridPos.X < a.GridPos.X+a.GridPos.W &&
				a.GridPos.Y < b.GridPos.Y+b.GridPos.H && b.GridPos.Y < a.GridPos.Y+a.GridPos.H {
				t.Errorf("%s: %q and %q overlap", name, a.Title, b.Title)
			}
		}
	}
}

// contract is the metrics and their labels: the tables of docs/metrics.md, the rules' recordings, and what is not the exporter's own.
func contract(t *testing.T) map[string][]string {
	t.Helper()
	ofTarget, ofInstance := []string{"cluster", "job", "instance"}, []string{"instance_id", "region_id"}
	all := map[string][]string{
		"up": ofTarget, "scrape_duration_seconds": ofTarget, "process_resident_memory_bytes": ofTarget,
		"ALERTS": append([]string{"alertname", "alertstate", "severity", "condition"},
			append(ofInstance, ofTarget...)...),
		"ALERTS_FOR_STATE":                  append([]string{"alertname", "severity", "condition"}, append(ofInstance, ofTarget...)...),
		"starrocks_backup:condition":        append(ofInstance, "cluster", "job", "condition"),
		"starrocks_backup:exporter:missing": {"cluster", "job"},
	}
	document, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	code := regexp.MustCompile("`([a-z_]+)`")
	for line := range strings.Lines(string(document)) {
		cells := strings.Split(line, "|")
		if len(cells) != 6 || !strings.HasPrefix(strings.TrimSpace(cells[1]), "`starrocks_backup_") {
			continue
		}
		metric := code.FindStringSubmatch(cells[1])[1]
		labels := slices.Clone(ofTarget)
		for _, l := range code.FindAllStringSubmatch(cells[3], -1) {
			labels = append(labels, l[1])
		}
		if !regexp.MustCompile("^starrocks_backup_(api|discover|exporter|scrapes|credentials|shard|total)").MatchString(metric) {
			labels = append(labels, ofInstance...)
		}
		all[metric] = labels
		if strings.TrimSpace(cells[2]) == "histogram" {
			all[metric+"_bucket"] = append(labels, "le")
		}
	}
	if len(all) < 45 {
		t.Fatalf("docs/metrics.md names only %d metrics", len(all))
	}
	return all
}

var reference = regexp.MustCompile(`\$\{?([a-zA-Z_]+)(?::[a-z]+)?\}?`)

// TestQueries parses every query as Prometheus does and holds its metrics, labels and variables against what there is.
func TestQueries(t *testing.T) {
	metrics := contract(t)
	for name, v := range views(t) {
		defined := map[string]bool{"__rate_interval": true, "__range": true, "__interval": true}
		for _, listed := range v.Templating.List {
			if listed.Type == "query" {
				var q struct{ Query string }
				if err := json.Unmarshal(listed.Query, &q); err != nil {
					t.Fatal(err)
				}
				text := strings.TrimSuffix(regexp.MustCompile(`^(label_values|query_result)\(`).ReplaceAllString(q.Query, ""), ")")
				if strings.HasPrefix(q.Query, "label_values") {
					cut := strings.LastIndex(text, ",")
					text = fmt.Sprintf("count by (%s) (%s)", strings.TrimSpace(text[cut+1:]), text[:cut])
				}
				checkQuery(t, name+": variable "+listed.Name, text, metrics, defined)
			}
			defined[listed.Name] = true
		}
		for _, l := range v.Links {
			for _, m := range reference.FindAllStringSubmatch(l.URL, -1) {
				if !defined[m[1]] {
					t.Errorf("%s: $%s of the link %s is not defined", name, m[1], l.URL)
				}
			}
		}
		for _, want := range []string{"datasource", "cluster", "job", "region", "account", "instance"} {
			if !defined[want] {
				t.Errorf("%s: no variable %s", name, want)
			}
		}
		v.visitPanels(func(p panelView) {
			for _, q := range p.Targets {
				checkQuery(t, name+": "+p.Title, q.Expr, metrics, defined)
				if v.UID == fleetUID && strings.Contains(q.Expr, "subtask_") {
					t.Errorf("%s: %s asks for the tables of the whole fleet", name, p.Title)
				}
			}
		})
	}
}

func checkQuery(t *testing.T, where, text string, metrics map[string][]string, defined map[string]bool) {
	t.Helper()
	for _, m := range reference.FindAllStringSubmatch(text, -1) {
		if !defined[m[1]] {
			t.Errorf("%s: $%s is not defined there", where, m[1])
		}
	}
	for name, value := range map[string]string{"$__rate_interval": "5m", "$__range": "7d", "$__interval": "30m"} {
		text = strings.ReplaceAll(text, name, value)
	}
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(text)
	if err != nil {
		t.Errorf("%s: %v in\n%s", where, err, text)
		return
	}
	allowed := map[string]bool{"text": true, "why": true, "on": true, "reason": true, "condition": true} // made by label_join and others
	var used []string
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		switch n := node.(type) {
		case *parser.VectorSelector:
			labels, known := metrics[n.Name]
			if !known {
				t.Errorf("%s: the metric %s is not in the contract", where, n.Name)
			}
			for _, l := range labels {
				allowed[l] = true
			}
			for _, m := range n.LabelMatchers {
				if m.Name != "__name__" && !slices.Contains(labels, m.Name) {
					t.Errorf("%s: %s has no label %s", where, n.Name, m.Name)
				}
			}
		case *parser.AggregateExpr:
			used = append(used, n.Grouping...)
		case *parser.BinaryExpr:
			for _, operand := range []parser.Expr{n.LHS, n.RHS} {
				inner, ok := operand.(*parser.BinaryExpr)
				alternatives := ok && n.Op == parser.LOR && inner.Op == parser.LOR && !n.VectorMatching.On && !inner.VectorMatching.On
				if ok && !alternatives {
					t.Errorf("%s: not in parentheses: %s", where, inner)
				}
			}
			if n.VectorMatching != nil {
				used = append(append(used, n.VectorMatching.MatchingLabels...), n.VectorMatching.Include...)
			}
		}
		return nil
	})
	for _, l := range used {
		if !allowed[l] {
			t.Errorf("%s: no metric in it has the label %s, only %v", where, l, slices.Sorted(maps.Keys(allowed)))
		}
	}
}
