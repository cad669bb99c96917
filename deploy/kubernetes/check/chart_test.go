package check

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	"sigs.k8s.io/kustomize/api/provider"
	"sigs.k8s.io/yaml"
)

const chartDirectory = "../../helm/" + name

func loadChart(t *testing.T) *chart.Chart {
	t.Helper()
	c, err := loader.LoadDir(chartDirectory)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// template renders the chart as helm template does. What values overlay are those of the file.
func template(t *testing.T, file, more string) (objects, error) {
	t.Helper()
	c, values := loadChart(t), map[string]any{}
	text, err := os.ReadFile(filepath.Join(chartDirectory, "ci", file))
	if err != nil {
		t.Fatal(err)
	}
	overlaid := map[string]any{}
	for text, into := range map[string]*map[string]any{string(text): &values, more: &overlaid} {
		if err := yaml.Unmarshal([]byte(text), into); err != nil {
			t.Fatal(err)
		}
	}
	release := chartutil.ReleaseOptions{Name: "backup", Namespace: "observability", IsInstall: true}
	all, err := chartutil.ToRenderValues(c, chartutil.CoalesceTables(overlaid, values), release, chartutil.DefaultCapabilities)
	if err != nil {
		return nil, err
	}
	rendered, err := engine.Render(c, all)
	if err != nil {
		return nil, err
	}
	factory := provider.NewDefaultDepProvider().GetResourceFactory()
	var found objects
	for _, file := range slices.Sorted(maps.Keys(rendered)) {
		if filepath.Ext(file) != ".yaml" {
			continue
		}
		some, err := factory.SliceFromBytes([]byte(rendered[file]))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		found = append(found, some...)
	}
	return found, nil
}

func mustTemplate(t *testing.T, file, more string) objects {
	t.Helper()
	all, err := template(t, file, more)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func kinds(all objects) []string {
	var found []string
	for _, o := range all {
		found = append(found, o.GetKind())
	}
	slices.Sort(found)
	return found
}

// Helm's linter finds nothing, not even without values.
func TestChartLint(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(chartDirectory, "ci", "*.yaml"))
	if err != nil || len(files) != 3 {
		t.Fatal(files, err)
	}
	for _, file := range append(files, "") {
		values := chartutil.Values{}
		if file != "" {
			if values, err = chartutil.ReadValuesFile(file); err != nil {
				t.Fatal(err)
			}
		}
		for _, m := range lint.All(chartDirectory, values, "default", true).Messages {
			if m.Severity > support.InfoSev {
				t.Errorf("%s: %v", file, m)
			}
		}
	}
}

func TestChartMinimal(t *testing.T) {
	all := mustTemplate(t, "minimal-values.yaml", "")
	checkSchemas(t, all)
	if got := kinds(all); !slices.Equal(got, []string{"ConfigMap", "Deployment", "Pod", "Service", "ServiceAccount"}) {
		t.Errorf("by default the chart makes %v", got)
	}
	checkPod(t, all, only[apps.Deployment](t, all, "Deployment").Spec.Template)
}

func TestChartEverything(t *testing.T) {
	all := mustTemplate(t, "everything-values.yaml", "")
	checkSchemas(t, all)
	d := only[apps.Deployment](t, all, "Deployment")
	checkChart(t, all, d.Spec.Selector.MatchLabels, d.Spec.Template)
	if *d.Spec.Replicas != 2 {
		t.Errorf("%d replicas", *d.Spec.Replicas)
	}
	pod := d.Spec.Template.Spec
	sources := pod.Volumes[0].Projected.Sources
	if len(sources) != 2 || sources[1].Secret.Name != "starrocks-access-key" {
		t.Errorf("mounts %+v", sources)
	}
	c := pod.Containers[0]
	if c.Image != "registry.example.com/starrocks_backup_exporter:1.2.3" || c.EnvFrom[0].SecretRef.Name != "credentials" ||
		variable(c, "HTTPS_PROXY") == "" || !slices.Contains(c.Args, "--log.level=debug") {
		t.Errorf("container %+v", c)
	}
	if pod.ImagePullSecrets[0].Name != "registry" || pod.PriorityClassName != "monitoring" || len(pod.NodeSelector) != 1 ||
		len(pod.Tolerations) != 1 || pod.Affinity.PodAntiAffinity == nil ||
		!reflect.DeepEqual(pod.TopologySpreadConstraints[0].LabelSelector, d.Spec.Selector) {
		t.Errorf("pod %+v", pod)
	}
	role := only[core.ServiceAccount](t, all, "ServiceAccount").Annotations["pod-identity.alibabacloud.com/role-name"]
	if role != "backup-reader" {
		t.Errorf("role %q", role)
	}
	for _, o := range all {
		if o.GetNamespace() != "observability" || o.GetLabels()["team"] != "data" {
			t.Errorf("%s %s of namespace %q has the labels %v", o.GetKind(), o.GetName(), o.GetNamespace(), o.GetLabels())
		}
	}
	var m serviceMonitor
	if err := json.Unmarshal(raw(t, all, "ServiceMonitor"), &m); err != nil {
		t.Fatal(err)
	}
	r := m.Spec.Endpoints[0].Relabelings
	if len(r) != 2 || r[0].TargetLabel != "job" || r[0].Separator != "/" || r[1].TargetLabel != "cluster" {
		t.Errorf("relabelings %+v", r)
	}
	for _, kind := range []string{"ServiceMonitor", "PrometheusRule"} {
		if m := only[labeled](t, all, kind); m.Metadata.Labels["release"] != "kube-prometheus-stack" {
			t.Errorf("%s has the labels %v", kind, m.Metadata.Labels)
		}
	}
	changed := mustTemplate(t, "everything-values.yaml", "config: {backups: {max_age: 27h}}")
	const checksum = "checksum/config"
	before, after := d.Spec.Template.Annotations, only[apps.Deployment](t, changed, "Deployment").Spec.Template.Annotations
	if before[checksum] == "" || before[checksum] == after[checksum] {
		t.Errorf("a new configuration makes no new pods: %v, %v", before, after)
	}
}

type labeled struct {
	APIVersion, Kind string
	Metadata         struct {
		Name, Namespace string
		Labels          map[string]string
	}
	Spec any
}

func TestChartShards(t *testing.T) {
	all := mustTemplate(t, "shards-values.yaml", "")
	checkSchemas(t, all)
	s := only[apps.StatefulSet](t, all, "StatefulSet")
	checkPod(t, all, s.Spec.Template)
	checkChart(t, all, s.Spec.Selector.MatchLabels, s.Spec.Template)
	args := s.Spec.Template.Spec.Containers[0].Args
	if *s.Spec.Replicas != 4 || !slices.Contains(args, "--total-shards=4") || !slices.Contains(args, "--shard=$(POD_NAME)") {
		t.Errorf("%d replicas with %v", *s.Spec.Replicas, args)
	}
	if s.Spec.PodManagementPolicy != apps.ParallelPodManagement {
		t.Errorf("%s never replaces a pod with a bad configuration", s.Spec.PodManagementPolicy)
	}
	if slices.Contains(kinds(all), "Deployment") {
		t.Error("there is a Deployment beside the StatefulSet")
	}
}

// checkChart follows labels from each object to the pods, and never to the pod of helm test.
func checkChart(t *testing.T, all objects, selector map[string]string, pod core.PodTemplateSpec) {
	t.Helper()
	service := only[core.Service](t, all, "Service")
	network := only[networking.NetworkPolicy](t, all, "NetworkPolicy").Spec
	test := only[core.Pod](t, all, "Pod")
	for what, selected := range map[string]map[string]string{
		"workload": selector, "service": service.Spec.Selector, "network policy": network.PodSelector.MatchLabels,
		"disruption budget": only[policy.PodDisruptionBudget](t, all, "PodDisruptionBudget").Spec.Selector.MatchLabels,
	} {
		if !selects(selected, pod.Labels) || selects(selected, test.Labels) || len(selected) != 2 {
			t.Errorf("the %s selects %v: pods have %v, the test %v", what, selected, pod.Labels, test.Labels)
		}
	}
	checkScrape(t, all, pod)
	from := network.Ingress[0].From
	if len(network.Ingress) != 1 || len(from) != 2 || from[0].NamespaceSelector == nil ||
		!selects(from[1].PodSelector.MatchLabels, test.Labels) {
		t.Errorf("the network policy lets in %+v", network.Ingress)
	}
	if c := test.Spec.Containers[0]; !slices.Equal(c.Args, []string{"healthcheck", "--web.listen-address=" + service.Name + ":10980"}) {
		t.Errorf("helm test runs %v", c.Args)
	}
}

func selects(selector, labels map[string]string) bool {
	for name, value := range selector {
		if labels[name] != value {
			return false
		}
	}
	return true
}

// A package holds the files that a clone links to, and nothing that only a clone needs.
func TestChartPackage(t *testing.T) {
	file, err := chartutil.Save(loadChart(t), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	c, err := loader.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"files/rules.yml": string(read(t, "../../../alerts/rules.yml")),
		"README.md":       string(read(t, filepath.Join(chartDirectory, "README.md"))),
	}
	for name, text := range dashboardFiles(t) {
		want["files/dashboards/"+name] = text
	}
	got := map[string]string{}
	for _, f := range c.Files {
		got[f.Name] = string(f.Data)
	}
	delete(got, ".helmignore")
	if !maps.Equal(got, want) {
		t.Errorf("the package has %v, not %v", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
	}
}

// Without other values, the rules and dashboards are the repository's own.
func TestChartFiles(t *testing.T) {
	all := mustTemplate(t, "shards-values.yaml", "")
	var want any
	if err := yaml.Unmarshal(read(t, "../../../alerts/rules.yml"), &want); err != nil {
		t.Fatal(err)
	}
	if got := only[labeled](t, all, "PrometheusRule").Spec; !reflect.DeepEqual(got, want) {
		t.Error("the rules are not alerts/rules.yml")
	}
	if got, want := dashboardsOf(t, all), dashboardFiles(t); !maps.Equal(got, want) {
		t.Errorf("the dashboards are %v, not as the files %v", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
	}
}

// With other values, the rules are those of the generator with the flags of the same names. It knows which rules contain the
// duration of another.
func TestChartRules(t *testing.T) {
	usual := alertsOf(t, generated(t))
	flags := []string{
		"--runbook-url=https://git.example.com/alerts/README.md", "--cluster-label=environment", "--no-watchdog",
		"--severity=critical=P1", "--severity=StarRocksBackupFailed=critical", "--severity=StarRocksBackupInstanceUnreadable/warning=P3",
		"--for=StarRocksBackupInstanceUnreadable/critical=12h",
	}
	waits := map[string]string{"StarRocksBackupInstanceUnreadable/critical": "12h"}
	for _, alert := range usual {
		if name := alert["alert"].(string); !strings.HasPrefix(name, "StarRocksBackupRegion") &&
			name != "StarRocksBackupExporterDown" && name != "StarRocksBackupWatchdog" {
			waits[name] = "2h"
		}
	}
	for name, wait := range waits {
		flags = append(flags, "--for="+name+"="+wait)
	}
	values, err := yaml.Marshal(map[string]any{
		"runbookURL": "https://git.example.com/alerts/README.md",
		"prometheusRule": map[string]any{
			"clusterLabel": "environment", "watchdog": false, "for": waits,
			"severities": map[string]string{
				"critical": "P1", "StarRocksBackupFailed": "critical", "StarRocksBackupInstanceUnreadable/warning": "P3",
			},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	all := mustTemplate(t, "shards-values.yaml", string(values))
	checkSchemas(t, all)
	got, want := only[labeled](t, all, "PrometheusRule").Spec, generated(t, flags...)
	if len(alertsOf(t, want)) != len(usual)-1 {
		t.Errorf("%d alerts without the watchdog", len(alertsOf(t, want)))
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}

	all = mustTemplate(t, "shards-values.yaml", "prometheusRule: {extraLabels: {team: data}}")
	for i, alert := range alertsOf(t, only[labeled](t, all, "PrometheusRule").Spec) {
		labels := maps.Clone(usual[i]["labels"].(map[string]any))
		labels["team"] = "data"
		if got := alert["labels"]; !reflect.DeepEqual(got, labels) {
			t.Errorf("%s has the labels %v, not %v", alert["alert"], got, labels)
		}
	}
}

// generated is what the generator of the rules writes.
func generated(t *testing.T, flags ...string) any {
	t.Helper()
	generate := exec.CommandContext(t.Context(), "go", append([]string{"run", "./alerts"}, flags...)...)
	generate.Dir = "../../.."
	generate.Stderr = os.Stderr
	text, err := generate.Output()
	var rules any
	if err == nil {
		err = yaml.Unmarshal(text, &rules)
	}
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

func alertsOf(t *testing.T, rules any) []map[string]any {
	t.Helper()
	var found []map[string]any
	for _, group := range rules.(map[string]any)["groups"].([]any) {
		for _, rule := range group.(map[string]any)["rules"].([]any) {
			if alert := rule.(map[string]any); alert["alert"] != nil {
				found = append(found, alert)
			}
		}
	}
	return found
}

func TestChartDashboardsLinkToRunbooks(t *testing.T) {
	for file, text := range dashboardsOf(t, mustTemplate(t, "everything-values.yaml", "")) {
		if strings.Contains(text, `"alerts/README.md`) || !strings.Contains(text, `"https://git.example.com/backups/alerts/README.md`) {
			t.Errorf("%s does not link to the copy of the runbooks", file)
		}
	}
}

func TestChartRefuses(t *testing.T) {
	for more, want := range map[string]string{
		"config: null":                 "set config",
		"instances: []":                "instances",
		"image: {name: a}":             "name",
		"shards: 0":                    "shards",
		"{shards: 2, replicas: 2}":     "replicas",
		"extraArgs: [log.level=debug]": "extraArgs",
		"prometheusRule: {for: {StarRocksBackup: 1h}}":                 `no alert "StarRocksBackup"`,
		"prometheusRule: {for: {critical: 1h}}":                        `no alert "critical"`,
		"prometheusRule: {for: {a: often}}":                            "for",
		"prometheusRule: {for: {StarRocksBackupRegionUnreadable: 1h}}": "StarRocksBackupRegionUnreadable",
		"prometheusRule: {severities: {critcal: P1}}":                  `no alert or severity "critcal"`,
		"prometheusRule: {clusterLabel: a-b}":                          "clusterLabel",
		"prometheusRule: {extraLabels: {severity: P1}}":                `extraLabels: the rules set or compare "severity"`,
		"prometheusRule: {clusterLabel: env, extraLabels: {env: a}}":   `extraLabels: the rules set or compare "env"`,
		"networkPolicy: {from: []}":                                    "from",
		"serviceMonitor: {interval: often}":                            "interval",
		"podDisruptionBudget: {maxUnavailable: [1]}":                   "maxUnavailable",
		"serviceAccount: {annotations: {a: true}}":                     "annotations",
		"networkPolicy: {from: {namespaceSelector: {}}}":               "from",
	} {
		if _, err := template(t, "shards-values.yaml", more); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", more, err)
		}
	}
}

// Every example of values in the README renders.
func TestChartReadme(t *testing.T) {
	readme := string(read(t, filepath.Join(chartDirectory, "README.md")))
	examples := regexp.MustCompile("(?s)( *)```yaml\n(.*?)```").FindAllStringSubmatch(readme, -1)
	if len(examples) != 4 {
		t.Fatalf("%d examples", len(examples))
	}
	for _, e := range examples {
		all := mustTemplate(t, "shards-values.yaml", regexp.MustCompile("(?m)^"+e[1]).ReplaceAllString(e[2], ""))
		checkSchemas(t, all)
		// The schema allows a probe two ways to probe; the API server does not.
		for _, p := range []*core.Probe{probed(t, all).LivenessProbe, probed(t, all).ReadinessProbe} {
			if (p.HTTPGet != nil) == (p.Exec != nil) {
				t.Errorf("%s has the probe %+v", e[2], p)
			}
		}
	}
}

// probed is the exporter's container.
func probed(t *testing.T, all objects) core.Container {
	t.Helper()
	return only[apps.StatefulSet](t, all, "StatefulSet").Spec.Template.Spec.Containers[0]
}

// The schema knows exactly the values there are.
func TestChartSchema(t *testing.T) {
	c := loadChart(t)
	var schema map[string]any
	if err := yaml.Unmarshal(c.Schema, &schema); err != nil {
		t.Fatal(err)
	}
	properties := schema["properties"].(map[string]any)
	delete(properties, "global") // Helm gives it to every subchart
	compareKeys(t, "", c.Values, properties)
}

func compareKeys(t *testing.T, path string, values, properties map[string]any) {
	t.Helper()
	if got, want := slices.Sorted(maps.Keys(properties)), slices.Sorted(maps.Keys(values)); !slices.Equal(got, want) {
		t.Errorf("%s: the schema has %v, values.yaml %v", path, got, want)
		return
	}
	for key, value := range values {
		inner, object := value.(map[string]any)
		if of, ok := properties[key].(map[string]any)["properties"].(map[string]any); object && ok {
			compareKeys(t, path+"."+key, inner, of)
		}
	}
}
