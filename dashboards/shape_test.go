package main

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"
)

// Names that Grafana knows. One that it does not know it passes over in silence.
var (
	overrideIDs = regexp.MustCompile(`^(unit|decimals|min|max|noValue|color|thresholds|mappings|links|custom\.(width|minWidth|align|` +
		`cellOptions|drawStyle|fillOpacity|lineWidth|lineStyle|pointSize|axisPlacement|fillBelowTo))$`)
	transformationIDs = regexp.MustCompile(`^(merge|organize|sortBy)$`)
	units             = regexp.MustCompile(`^(none|string|s|bytes|binBps|reqps|percentunit|dateTimeFromNow)$`)
	panelTypes        = regexp.MustCompile(`^(stat|table|timeseries|state-timeline|row)$`)
)

// shape is what a panel says beside its queries.
type shape struct {
	ID          int
	Type, Title string
	FieldConfig struct {
		Defaults struct {
			Unit    string
			NoValue string
			Custom  struct{ AxisSoftMin *float64 }
			Min     *float64
		}
		Overrides []struct {
			Matcher    struct{ ID, Options string }
			Properties []struct {
				ID    string
				Value any
			}
		}
	}
	Transformations []struct {
		ID      string
		Options struct{ RenameByName map[string]string }
	}
	Panels []shape
}

func shapes(t *testing.T, d object) (all []shape) {
	t.Helper()
	text, err := d.json()
	if err != nil {
		t.Fatal(err)
	}
	var v struct{ Panels []shape }
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	for _, p := range v.Panels {
		all = append(append(all, p), p.Panels...)
	}
	return all
}

func TestShapes(t *testing.T) {
	for name, d := range dashboards() {
		ids := map[int]bool{}
		for _, p := range shapes(t, d) {
			if p.ID == 0 || ids[p.ID] {
				t.Errorf("%s: the id %d of %q is not unique", name, p.ID, p.Title)
			}
			ids[p.ID] = true
			if !panelTypes.MatchString(p.Type) {
				t.Errorf("%s: %q is a %s", name, p.Title, p.Type)
			}
			if p.Type == "row" {
				continue
			}
			checkUnit(t, name, p, p.FieldConfig.Defaults.Unit)
			each := false // field has a word of its own for no value: Grafana draws the panel's at the axis
			for _, o := range p.FieldConfig.Overrides {
				for _, property := range o.Properties {
					if !overrideIDs.MatchString(property.ID) {
						t.Errorf("%s: %q overrides %s, which Grafana does not know", name, p.Title, property.ID)
					}
					if text, _ := property.Value.(string); property.ID == "unit" {
						checkUnit(t, name, p, text)
					}
					each = each || property.ID == "noValue" && o.Matcher.Options == "/.*/"
				}
			}
			if p.Type != "stat" && !each {
				t.Errorf("%s: %q writes %q into cells or at its axis", name, p.Title, p.FieldConfig.Defaults.NoValue)
			}
			if c := p.FieldConfig.Defaults; p.Type == "timeseries" && c.Min == nil && c.Custom.AxisSoftMin == nil {
				t.Errorf("%s: the axis of %q does not begin at zero", name, p.Title)
			}
			for _, transformation := range p.Transformations {
				if !transformationIDs.MatchString(transformation.ID) {
					t.Errorf("%s: %q is transformed by %s, which Grafana does not know", name, p.Title, transformation.ID)
				}
			}
		}
	}
}

// Grafana takes every text for no number: a mapping of that would hide the words of a column of labels.
func TestLabelsAreNotMapped(t *testing.T) {
	for name, d := range dashboards() {
		for _, p := range shapes(t, d) {
			labels := map[string]bool{}
			for _, transformation := range p.Transformations {
				for field, title := range transformation.Options.RenameByName {
					if !strings.HasPrefix(field, "Value") {
						labels[title] = true
					}
				}
			}
			for _, o := range p.FieldConfig.Overrides {
				for _, property := range o.Properties {
					text, err := json.Marshal(property.Value)
					if err != nil {
						t.Fatal(err)
					}
					if labels[o.Matcher.Options] && strings.Contains(string(text), `"nan"`) {
						t.Errorf("%s: %s: the column %s is hidden", name, p.Title, o.Matcher.Options)
					}
				}
			}
		}
	}
}

func checkUnit(t *testing.T, name string, p shape, unit string) {
	t.Helper()
	if !units.MatchString(unit) {
		t.Errorf("%s: %q has the unit %q", name, p.Title, unit)
	}
}

// The columns of the main table fit a screen of 1600 pixels, and the essential ones one of 1280.
func TestColumnsFit(t *testing.T) {
	for _, p := range shapes(t, fleet()) {
		if !strings.HasPrefix(p.Title, "Instances,") {
			continue
		}
		widths := map[string]float64{}
		total := 0.0
		for _, o := range p.FieldConfig.Overrides {
			for _, property := range o.Properties {
				if property.ID == "custom.width" || property.ID == "custom.minWidth" {
					widths[o.Matcher.Options] = property.Value.(float64)
					total += property.Value.(float64)
				}
			}
		}
		for _, title := range p.Transformations[1].Options.RenameByName {
			if widths[title] == 0 && title != rankTitle {
				t.Errorf("the column %s has no width", title)
			}
		}
		if total > 1560 {
			t.Errorf("all columns: %v pixels", total)
		}
		essential := 0.0
		for _, title := range []string{"Name", "State", "Why", "Used", "Deadline", "Good backup", "Last read", "Policy", "Restore proven"} {
			essential += widths[title]
		}
		if essential == 0 || essential > 1240 {
			t.Errorf("the essential columns: %v pixels", essential)
		}
	}
}

func TestVariables(t *testing.T) {
	for name, d := range dashboards() {
		for _, v := range d["templating"].(object)["list"].([]object) {
			if v["type"] != "query" {
				continue
			}
			several, hidden := v["includeAll"] == true, v["hide"] == 2
			if all := v["allValue"]; several && !hidden && all != ".*" {
				t.Errorf("%s: all of $%s is %v: instances without that label would be left out", name, v["name"], all)
			}
			if v["refresh"] != 2 {
				t.Errorf("%s: $%s does not follow the time range", name, v["name"])
			}
		}
	}
}

// What the dashboard-linter asks for, where it applies: rates over $__rate_interval or a window of their own, counters in a rate, and
// each query limited by the variables.
func TestQueriesAreLimitedAndRated(t *testing.T) {
	counter := regexp.MustCompile(`_total$|_bucket$`)
	for name, v := range views(t) {
		v.visitPanels(func(p panelView) {
			for _, q := range p.Targets {
				text := reference.ReplaceAllStringFunc(q.Expr, func(found string) string {
					if strings.HasPrefix(found, "$__") {
						return "5m"
					}
					return found
				})
				expr, err := parser.NewParser(parser.Options{}).ParseExpr(text)
				if err != nil {
					t.Fatalf("%s: %v", p.Title, err)
				}
				parser.Inspect(expr, func(node parser.Node, path []parser.Node) error {
					selector, ok := node.(*parser.VectorSelector)
					if !ok {
						return nil
					}
					if counter.MatchString(selector.Name) && !rated(path) {
						t.Errorf("%s: %s: the counter %s is in no rate", name, p.Title, selector.Name)
					}
					limited := false
					for _, m := range selector.LabelMatchers {
						limited = limited || strings.Contains(m.Value, "$") || m.Value == "StarRocksBackupWatchdog"
					}
					if !limited && !strings.HasPrefix(selector.Name, "scrape_") && !strings.HasPrefix(selector.Name, "process_") {
						t.Errorf("%s: %s: no variable limits %s", name, p.Title, selector)
					}
					return nil
				})
			}
		})
	}
}

func rated(path []parser.Node) bool {
	for _, above := range path {
		if call, ok := above.(*parser.Call); ok && (call.Func.Name == "rate" || call.Func.Name == "increase") {
			return true
		}
	}
	return false
}
