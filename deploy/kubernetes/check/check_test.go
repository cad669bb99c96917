package check

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	"sigs.k8s.io/yaml"
)

func TestBase(t *testing.T) {
	all := render(t, base)
	checkSchemas(t, all)
	checkSizes(t, all)
	d := only[apps.Deployment](t, all, "Deployment")
	if !maps.Equal(d.Spec.Selector.MatchLabels, d.Spec.Template.Labels) {
		t.Errorf("the deployment selects %v, not its pods' %v", d.Spec.Selector.MatchLabels, d.Spec.Template.Labels)
	}
	checkPod(t, all, d.Spec.Template)
	checkNetwork(t, all, d.Spec.Template)
	if label := only[core.Namespace](t, all, "Namespace").Labels["pod-identity.alibabacloud.com/injection"]; label != "on" {
		t.Errorf("no role is given to pods: %q", label)
	}
}

// Each object stays below the 1 MiB that Kubernetes stores. With --server-side, kubectl apply writes no annotation, which holds less.
func checkSizes(t *testing.T, all objects) {
	t.Helper()
	for _, o := range all {
		text, err := o.MarshalJSON()
		if err != nil || len(text) > 1<<20 {
			t.Errorf("%s %s: %d bytes, %v", o.GetKind(), o.GetName(), len(text), err)
		}
	}
}

func checkPod(t *testing.T, all objects, pod core.PodTemplateSpec) {
	t.Helper()
	c := pod.Spec.Containers[0]
	version, err := os.ReadFile("../../../VERSION")
	if want := "starrocks_backup_exporter:" + strings.TrimSpace(string(version)); err != nil || c.Image != want {
		t.Errorf("the image is %s, not %s: %v", c.Image, want, err)
	}
	requests, limits := c.Resources.Requests, c.Resources.Limits
	if requests.Cpu().IsZero() || requests.Memory().IsZero() || requests.Memory().Cmp(*limits.Memory()) > 0 || !limits.Cpu().IsZero() {
		t.Errorf("requests %v, limits %v", requests, limits)
	}
	s, p := c.SecurityContext, pod.Spec.SecurityContext
	if !*p.RunAsNonRoot || *p.RunAsUser != 65534 || p.SeccompProfile.Type != core.SeccompProfileTypeRuntimeDefault ||
		*s.AllowPrivilegeEscalation ||
		!*s.ReadOnlyRootFilesystem || len(s.Capabilities.Drop) != 1 || s.Capabilities.Drop[0] != "ALL" || *pod.Spec.AutomountServiceAccountToken {
		t.Errorf("the pod may do more than it needs: %+v, %+v", p, s)
	}
	if account := only[core.ServiceAccount](t, all, "ServiceAccount"); account.Name != pod.Spec.ServiceAccountName {
		t.Errorf("the pod's service account is %s, not %s", pod.Spec.ServiceAccountName, account.Name)
	}
}

func variable(c core.Container, name string) string {
	for _, v := range c.Env {
		if v.Name == name {
			return v.Value
		}
	}
	return ""
}

// serviceMonitor is what is looked at of one; the schema knows the rest.
type serviceMonitor struct {
	Spec struct {
		Selector  struct{ MatchLabels map[string]string }
		Endpoints []struct {
			Port, Interval, ScrapeTimeout string
			Relabelings                   []struct{ TargetLabel, Separator string }
		}
	}
}

// checkScrape follows the way from Prometheus to the pod, by labels and ports.
func checkScrape(t *testing.T, all objects, pod core.PodTemplateSpec) {
	t.Helper()
	var m serviceMonitor
	if err := json.Unmarshal(raw(t, all, "ServiceMonitor"), &m); err != nil {
		t.Fatal(err)
	}
	s := only[core.Service](t, all, "Service")
	for label, value := range m.Spec.Selector.MatchLabels {
		if s.Labels[label] != value {
			t.Errorf("the monitor wants %s=%s of a service that has %v", label, value, s.Labels)
		}
	}
	port, scrape := s.Spec.Ports[0], m.Spec.Endpoints[0]
	if scrape.Port != port.Name || scrape.Interval != "1m" || scrape.ScrapeTimeout != "30s" {
		t.Errorf("the monitor scrapes %+v of %+v", scrape, port)
	}
	if len(scrape.Relabelings) == 0 || scrape.Relabelings[0].TargetLabel != "job" {
		t.Errorf("fleets in different namespaces have the same job: %+v", scrape.Relabelings)
	}
	c := pod.Spec.Containers[0]
	listens := c.Ports[0]
	if port.TargetPort.StrVal != listens.Name || port.Port != listens.ContainerPort {
		t.Errorf("the service leads to %+v, the container has %+v", port, listens)
	}
	for _, p := range []*core.Probe{c.LivenessProbe, c.ReadinessProbe} {
		if p.HTTPGet.Port.StrVal != listens.Name {
			t.Errorf("the probe asks %+v", p.HTTPGet)
		}
	}
}

// checkNetwork also checks what the policy lets in and out.
func checkNetwork(t *testing.T, all objects, pod core.PodTemplateSpec) {
	t.Helper()
	checkScrape(t, all, pod)
	if s := only[core.Service](t, all, "Service"); !maps.Equal(s.Spec.Selector, pod.Labels) {
		t.Errorf("the service selects %v, not the pod's %v", s.Spec.Selector, pod.Labels)
	}
	listens := pod.Spec.Containers[0].Ports[0]
	n := only[networking.NetworkPolicy](t, all, "NetworkPolicy").Spec
	if !maps.Equal(n.PodSelector.MatchLabels, pod.Labels) {
		t.Errorf("the policy selects %v, not the pod's %v", n.PodSelector.MatchLabels, pod.Labels)
	}
	if from := n.Ingress[0]; len(n.Ingress) != 1 || len(from.From) != 1 || len(from.Ports) != 1 || from.Ports[0].Port.StrVal != listens.Name {
		t.Errorf("the policy lets in %+v", n.Ingress)
	}
	var out []string
	for _, to := range n.Egress {
		for _, p := range to.Ports {
			out = append(out, string(*p.Protocol)+" "+p.Port.String())
		}
	}
	if !slices.Equal(out, []string{"UDP 53", "TCP 53", "TCP 443"}) || len(n.PolicyTypes) != 2 {
		t.Errorf("the policy lets out %v, for %v", out, n.PolicyTypes)
	}
}

func raw(t *testing.T, all objects, kind string) []byte {
	t.Helper()
	text, err := json.Marshal(only[map[string]any](t, all, kind))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestRulesAreTheAlerts(t *testing.T) {
	got := only[map[string]any](t, render(t, base), "PrometheusRule")["spec"]
	text, err := os.ReadFile("../../../alerts/rules.yml")
	var want any
	if err == nil {
		err = yaml.Unmarshal(text, &want)
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("prometheusrule.yaml is not alerts/rules.yml (%v): run make rules", err)
	}
}

func TestDashboardsAreTheFiles(t *testing.T) {
	if got, want := dashboardsOf(t, render(t, base)), dashboardFiles(t); !maps.Equal(got, want) {
		t.Errorf("the dashboards are %v, not as the files %v", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
	}
}

func dashboardsOf(t *testing.T, all objects) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, o := range all {
		if o.GetLabels()["grafana_dashboard"] == "1" {
			for file, text := range as[core.ConfigMap](t, o).Data {
				found[strings.TrimPrefix(file, "starrocks-backup-")] = text
			}
		}
	}
	return found
}

func dashboardFiles(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("../../../dashboards/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	found := map[string]string{}
	for _, file := range files {
		found[filepath.Base(file)] = string(read(t, file))
	}
	return found
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
