package main

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.yaml.in/yaml/v3"

	"git.example.com/starrocks/starrocks_backup_exporter/collector"
	"git.example.com/starrocks/starrocks_backup_exporter/collector/fleet"
	"git.example.com/starrocks/starrocks_backup_exporter/collector/health"
	"git.example.com/starrocks/starrocks_backup_exporter/collector/report"
	"git.example.com/starrocks/starrocks_backup_exporter/config"
)

func readDoc(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// row is a line of a table.
type row struct{ header, cells []string }

// tableRows returns the lines of all tables of a document, with their headers.
func tableRows(document string) (rows []row) {
	var header []string
	for line := range strings.Lines(document) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") {
			header = nil
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch {
		case header == nil:
			header = cells
		case !strings.HasPrefix(cells[0], "---"):
			rows = append(rows, row{header, cells})
		}
	}
	return rows
}

var code = regexp.MustCompile("`([^`]+)`")

// codes returns what is written as code in a cell.
func codes(cell string) (all []string) {
	for _, m := range code.FindAllStringSubmatch(cell, -1) {
		all = append(all, m[1])
	}
	return all
}

// compare fails for each entry that only one of the document and the program has.
func compare(t *testing.T, document string, documented, program map[string]string) {
	t.Helper()
	for name, want := range program {
		if got, known := documented[name]; !known {
			t.Errorf("%s lacks %s", document, name)
		} else if got != want {
			t.Errorf("%s says %s of %s, want %s", document, got, name, want)
		}
	}
	for name := range documented {
		if _, known := program[name]; !known {
			t.Errorf("%s names %s, which does not exist", document, name)
		}
	}
}

// capture keeps what is registered.
type capture struct{ collectors []prometheus.Collector }

func (c *capture) Register(one prometheus.Collector) error {
	c.collectors = append(c.collectors, one)
	return nil
}

func (c *capture) MustRegister(all ...prometheus.Collector) {
	c.collectors = append(c.collectors, all...)
}

func (c *capture) Unregister(prometheus.Collector) bool { return false }

// TestDocsListEveryMetric compares docs/metrics.md with the metrics that are served and their labels.
func TestDocsListEveryMetric(t *testing.T) {
	documented := map[string]string{}
	for _, r := range tableRows(readDoc(t, "docs/metrics.md")) {
		if r.header[0] != "metric" {
			continue
		}
		labels := codes(r.cells[2])
		if r.header[2] == "more labels" {
			labels = append(labels, "instance_id", "region_id")
		}
		slices.Sort(labels)
		documented[codes(r.cells[0])[0]] = fmt.Sprint(labels)
	}

	registered := &capture{collectors: []prometheus.Collector{collector.New(&fleet.Result{})}}
	collector.NewAPIMetrics(registered)
	served := map[string]string{
		"starrocks_backup_scrapes_coalesced_total":                               "[]",
		"starrocks_backup_exporter_config_last_reload_successful":                "[]",
		"starrocks_backup_exporter_config_last_reload_success_timestamp_seconds": "[]",
		"starrocks_backup_exporter_build_info":                                   "[branch goarch goos goversion revision tags version]",
	}
	described := regexp.MustCompile(`fqName: "([^"]*)".*variableLabels: \{([^}]*)\}`)
	for _, c := range registered.collectors {
		descs := make(chan *prometheus.Desc)
		go func() {
			defer close(descs)
			c.Describe(descs)
		}()
		for d := range descs {
			m := described.FindStringSubmatch(d.String())
			labels := strings.FieldsFunc(m[2], func(r rune) bool { return r == ',' })
			slices.Sort(labels)
			served[m[1]] = fmt.Sprint(labels)
		}
	}
	compare(t, "docs/metrics.md", documented, served)
}

func TestDocsListEveryCondition(t *testing.T) {
	documented, decided := map[string]string{}, map[string]string{}
	for _, r := range tableRows(readDoc(t, "docs/metrics.md")) {
		if r.header[0] == "condition" {
			documented[codes(r.cells[0])[0]] = ""
		}
	}
	for _, c := range health.Conditions() {
		decided[string(c)] = ""
	}
	compare(t, "docs/metrics.md", documented, decided)
}

// TestDocsListEveryFlag compares docs/configuration.md with the flags and their defaults.
func TestDocsListEveryFlag(t *testing.T) {
	documented := map[string]string{}
	for _, r := range tableRows(readDoc(t, "docs/configuration.md")) {
		if r.header[0] == "flag" {
			documented[codes(r.cells[0])[0]] = strings.Join(codes(r.cells[1]), "")
		}
	}
	flags := map[string]string{ // those of libraries
		"--web.listen-address": ":10980", "--web.config.file": "", "--web.systemd-socket": "", "--version": "",
		"--web.route-prefix": "--web.external-url", // whose path it is
	}
	flag := regexp.MustCompile(`(?s)app\.Flag\("([a-z.-]+)",.*?(?:Var|\.String)\(`)
	for _, m := range flag.FindAllStringSubmatch(readDoc(t, "options.go"), -1) {
		name := "--" + m[1]
		if _, special := flags[name]; special {
			continue
		}
		flags[name] = ""
		if d := regexp.MustCompile(`Default\("([^"]*)"\)`).FindStringSubmatch(m[0]); d != nil {
			flags[name] = d[1]
		}
	}
	compare(t, "docs/configuration.md", documented, flags)
}

// TestDocsListEveryField compares docs/configuration.md with the fields of the configuration file.
func TestDocsListEveryField(t *testing.T) {
	documented := map[string]string{}
	for _, r := range tableRows(readDoc(t, "docs/configuration.md")) {
		if r.header[0] == "field" {
			for _, name := range codes(r.cells[0]) {
				documented[name] = ""
			}
		}
	}
	fields := map[string]string{}
	for _, section := range []any{config.API{}, config.Backups{}, config.Policies{}, config.Restores{}} {
		prefix := strings.ToLower(reflect.TypeOf(section).Name()) + "."
		for _, name := range fieldNames("yaml", reflect.TypeOf(section)) {
			fields[prefix+name] = ""
		}
	}
	for _, entry := range []any{config.Config{}, config.Account{}, config.Instance{}, config.Discovery{}} {
		for _, name := range fieldNames("yaml", reflect.TypeOf(entry)) {
			fields[name] = ""
		}
	}
	for _, name := range fieldNames("yaml", reflect.TypeFor[config.Exclude]()) {
		fields["exclude."+name] = ""
	}
	for _, section := range []string{"api", "backups", "policies", "restores", "exclude"} { // by their fields
		delete(fields, section)
	}
	compare(t, "docs/configuration.md", documented, fields)
}

// fieldNames returns the names that the fields of a struct have in a format.
func fieldNames(format string, of reflect.Type) (names []string) {
	for _, f := range reflect.VisibleFields(of) {
		if name, _, _ := strings.Cut(f.Tag.Get(format), ","); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// TestDocsListEveryFieldOfTheReport compares docs/json.md with the JSON of a report and of an instance, and looks for what is nested.
func TestDocsListEveryFieldOfTheReport(t *testing.T) {
	text := readDoc(t, "docs/json.md")
	documented, fields := map[string]string{}, map[string]string{}
	for _, r := range tableRows(text) {
		if r.header[0] == "field" {
			for _, name := range codes(r.cells[0]) {
				documented[name] = ""
			}
		}
	}
	for _, of := range []reflect.Type{reflect.TypeFor[report.Report](), reflect.TypeFor[report.Instance]()} {
		for _, name := range fieldNames("json", of) {
			fields[name] = ""
		}
	}
	compare(t, "docs/json.md", documented, fields)
	for _, of := range []reflect.Type{
		reflect.TypeFor[report.Summary](), reflect.TypeFor[report.Region](), reflect.TypeFor[report.Error](), reflect.TypeFor[report.Table](),
	} {
		for _, name := range fieldNames("json", of) {
			if !slices.Contains(codes(fenced.ReplaceAllString(text, "")), name) {
				t.Errorf("docs/json.md lacks %s of %s", name, of.Name())
			}
		}
	}
}

// TestDocsExamplesLoad parses every example in YAML, and loads those of a configuration file.
func TestDocsExamplesLoad(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?ms)^( *)```yaml\n(.*?)^ *```")
	section := regexp.MustCompile(`\A(api|backups|accounts|instances|discovery):`)
	loaded := 0
	for _, document := range []string{"README.md", "docs/configuration.md", "docs/fleets.md", "docs/integrations.md", "docs/operations.md"} {
		for _, m := range block.FindAllStringSubmatch(readDoc(t, document), -1) {
			text := regexp.MustCompile("(?m)^"+m[1]).ReplaceAllString(m[2], "")
			var anything any
			if err := yaml.Unmarshal([]byte(text), &anything); err != nil {
				t.Errorf("%s: %v in\n%s", document, err, text)
			}
			if !section.MatchString(text) || strings.Contains(text, "openmetrics_endpoint") { // Datadog has instances, too
				continue
			}
			if !strings.Contains(text, "region_id: ") {
				text += "instances: [{instance_id: c-1, region_id: cn-hangzhou}]\n"
			}
			if strings.Contains(text, "account: prod") && !strings.Contains(text, "accounts:") {
				text += "accounts: {prod: {}}\n"
			}
			text = strings.ReplaceAll(text, "/etc/starrocks_backup_exporter/secret", secret)
			loaded++
			if _, err := config.Parse(document, []byte(text)); err != nil {
				t.Errorf("%v of\n%s", err, text)
			}
		}
	}
	if loaded < 5 {
		t.Errorf("found only %d examples", loaded)
	}
}

// TestRecipes checks that what the recipes for other systems name exists.
func TestRecipes(t *testing.T) {
	recipes := strings.Join(fenced.FindAllString(readDoc(t, "docs/integrations.md"), -1), "\n")
	named := func(pattern string, least int) (all []string) {
		t.Helper()
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(recipes, -1) {
			all = append(all, m[1])
		}
		if len(all) < least {
			t.Errorf("found %d of %s, want at least %d", len(all), pattern, least)
		}
		return all
	}

	metrics := readDoc(t, "docs/metrics.md") // which has those of the program, see TestDocsListEveryMetric
	for _, name := range named(`- (starrocks_backup_\w+: \w+)`, 5) {
		metric, renamed, _ := strings.Cut(name, ": ")
		if !strings.Contains(metrics, "| `"+metric+"`") || metric != "starrocks_backup_"+renamed {
			t.Errorf("the recipe for Datadog sends %s as %s: no such metric, or more than the prefix is cut off", metric, renamed)
		}
	}
	series := len(health.Conditions()) + len((&fleet.InstanceResult{}).ReadConditions()) + 4 // metrics of one series
	limit := fmt.Sprintf("at least %d times the number of instances", series)
	if !strings.Contains(readDoc(t, "docs/integrations.md"), limit) {
		t.Errorf("Datadog: the limit is not %s", limit)
	}
	for _, port := range named(`localhost:(\d+)(?:"|/metrics)`, 3) {
		if port != "10980" {
			t.Errorf("a recipe scrapes port %s", port)
		}
	}
	account, namespace := readManifest(t, "serviceaccount"), readManifest(t, "namespace")
	for _, subject := range named(`system:serviceaccount:([\w:-]+)`, 1) {
		if want := namespace.Metadata.Name + ":" + account.Metadata.Name; subject != want {
			t.Errorf("the role is for the service account %s, the manifests have %s", subject, want)
		}
	}
	role := account.Metadata.Annotations["pod-identity.alibabacloud.com/role-name"]
	for _, name := range append(named(`role_name = "([\w-]+)"`, 1), named(`RoleName: ([\w-]+)`, 1)...) {
		if name != role {
			t.Errorf("the role is called %s, the service account asks for %s", name, role)
		}
	}
	for _, policy := range named(`(Aliyun\w+Access)`, 2) {
		if !strings.Contains(readDoc(t, "docs/configuration.md"), "`"+policy+"`") {
			t.Errorf("docs/configuration.md does not name the policy %s", policy)
		}
	}
}

type manifest struct {
	Metadata struct {
		Name        string
		Annotations map[string]string
	}
}

func readManifest(t *testing.T, name string) (m manifest) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(readDoc(t, "deploy/kubernetes/"+name+".yaml")), &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestReadmeIsShort(t *testing.T) {
	if lines := strings.Count(readDoc(t, "README.md"), "\n"); lines > 200 {
		t.Errorf("README.md has %d lines; what a user reads after the first five minutes goes to docs/", lines)
	}
}

var (
	link    = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ +(.+?) *$`)
	fenced  = regexp.MustCompile("(?ms)^ *```.*?^ *```")
)

// TestDocsLinks follows every link between documents.
func TestDocsLinks(t *testing.T) {
	var documents []string
	for _, pattern := range []string{"*.md", "docs/*.md", "alerts/*.md", "dashboards/*.md", "deploy/*/*.md", "deploy/*/*/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		documents = append(documents, found...)
	}
	followed := 0
	for _, document := range documents {
		for _, m := range link.FindAllStringSubmatch(fenced.ReplaceAllString(readDoc(t, document), ""), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			followed++
			file, anchor, _ := strings.Cut(m[1], "#")
			target := document
			if file != "" {
				target = filepath.Join(filepath.Dir(document), file)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s: %v", document, m[1], err)
			} else if anchor != "" && !slices.Contains(anchors(readDoc(t, target)), anchor) {
				t.Errorf("%s links to %s, but there is no such heading", document, m[1])
			}
		}
	}
	if followed < 100 {
		t.Errorf("found only %d links", followed)
	}
}

// anchors returns the anchors that GitHub gives the headings of a document.
func anchors(document string) (all []string) {
	for _, m := range heading.FindAllStringSubmatch(fenced.ReplaceAllString(document, ""), -1) {
		anchor := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(m[1]), "")
		all = append(all, strings.ReplaceAll(anchor, " ", "-"))
	}
	return all
}
