package check

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
)

const configDirectory = "/etc/starrocks_backup_exporter"

// The exporter itself takes the pod's arguments, environment and configuration, and answers its probes.
func TestExporterRuns(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "exporter")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, ".")
	build.Dir = "../../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	all := render(t, base)
	d := only[apps.Deployment](t, all, "Deployment")
	c := d.Spec.Template.Spec.Containers[0]
	help, err := exec.CommandContext(t.Context(), binary, "--help").CombinedOutput()
	if want := fmt.Sprintf("--web.listen-address=:%d ", c.Ports[0].ContainerPort); err != nil || !strings.Contains(string(help), want) {
		t.Errorf("no %s by default: %v", want, err)
	}
	checkRuns(t, binary, all, d.Spec.Template)

	sharded := render(t, overlay(t, "resources: [DEPLOY/kubernetes]\ncomponents: [DEPLOY/kubernetes/shards]"))
	checkSchemas(t, sharded)
	s := only[apps.StatefulSet](t, sharded, "StatefulSet")
	if s.Spec.PodManagementPolicy != apps.ParallelPodManagement {
		t.Errorf("%s never replaces a pod with a bad configuration", s.Spec.PodManagementPolicy)
	}
	checkPod(t, sharded, s.Spec.Template)
	checkNetwork(t, sharded, s.Spec.Template)
	checkRuns(t, binary, sharded, s.Spec.Template)

	chart := mustTemplate(t, "minimal-values.yaml", "")
	checkRuns(t, binary, chart, only[apps.Deployment](t, chart, "Deployment").Spec.Template)
	shards := mustTemplate(t, "shards-values.yaml", "")
	checkRuns(t, binary, shards, only[apps.StatefulSet](t, shards, "StatefulSet").Spec.Template)
}

func checkRuns(t *testing.T, binary string, all objects, pod core.PodTemplateSpec) {
	t.Helper()
	directory, address := t.TempDir(), freeAddress(t)
	mounted := pod.Spec.Volumes[0].Projected.Sources[0].ConfigMap.Name
	for _, o := range all {
		if o.GetKind() != "ConfigMap" || o.GetName() != mounted {
			continue
		}
		for file, text := range as[core.ConfigMap](t, o).Data {
			if err := os.WriteFile(filepath.Join(directory, file), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	c := pod.Spec.Containers[0]
	if c.VolumeMounts[0].MountPath != configDirectory || c.VolumeMounts[0].Name != pod.Spec.Volumes[0].Name {
		t.Errorf("the configuration is mounted as %+v", c.VolumeMounts)
	}
	var args []string
	for _, a := range c.Args {
		args = append(args, strings.NewReplacer(configDirectory, directory, "$(POD_NAME)", name+"-3").Replace(a))
	}
	exporter := exec.CommandContext(t.Context(), binary, append(args, "--web.listen-address="+address)...)
	exporter.Env = []string{"HOME=" + directory, "ALIBABA_CLOUD_ECS_METADATA_DISABLED=true"} // no credentials: nothing is asked
	for _, v := range c.Env {
		if v.ValueFrom == nil {
			exporter.Env = append(exporter.Env, v.Name+"="+v.Value)
		}
	}
	log := &strings.Builder{}
	exporter.Stderr = log
	if err := exporter.Start(); err != nil {
		t.Fatal(err)
	}
	for _, probe := range []*core.Probe{c.ReadinessProbe, c.LivenessProbe} {
		if err := answers("http://" + address + probe.HTTPGet.Path); err != nil {
			t.Error(err)
		}
	}
	if err := exporter.Process.Signal(os.Interrupt); err != nil {
		t.Error(err)
	}
	if err := exporter.Wait(); err != nil {
		t.Errorf("%v: %q\n%s", args, err, log)
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func answers(url string) error {
	var last error
	for range 100 {
		response, err := http.Get(url)
		if err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
			err = fmt.Errorf("%s: %s", url, response.Status)
		}
		last = err
		time.Sleep(100 * time.Millisecond)
	}
	return last
}

// overlay is a directory with a kustomization of a user's, in which DEPLOY is where this clone has deploy.
func overlay(t *testing.T, kustomization string) string {
	t.Helper()
	directory := t.TempDir()
	deploy, err := filepath.Abs("../..")
	if err == nil {
		deploy, err = filepath.Rel(directory, deploy)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(directory, "kustomization.yaml"), []byte(strings.ReplaceAll(kustomization, "DEPLOY", deploy)), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return directory
}

// What the README says to put into one's own directory renders, and every patch of it takes.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, _ := strings.Cut(string(readme), "   ```yaml\n   # kustomization.yaml\n")
	example, _, found := strings.Cut(example, "   ```\n")
	if !found {
		t.Fatal("no kustomization.yaml")
	}
	example = regexp.MustCompile("(?m)^   ").ReplaceAllString(example, "")
	directory := overlay(t, strings.ReplaceAll(example, "../starrocks_backup_exporter/deploy/", "DEPLOY/"))
	config := []byte("instances: [{instance_id: c-1, region_id: cn-hangzhou}]\n")
	if err := os.WriteFile(filepath.Join(directory, "starrocks_backup_exporter.yml"), config, 0o600); err != nil {
		t.Fatal(err)
	}
	all := render(t, directory)
	checkSchemas(t, all)
	var text strings.Builder
	for _, o := range all {
		text.WriteString(o.MustYaml())
		if o.GetLabels()["release"] != "kube-prometheus-stack" {
			t.Errorf("%s %s has the labels %v", o.GetKind(), o.GetName(), o.GetLabels())
		}
	}
	for _, want := range []string{
		"image: registry.example.com/starrocks_backup_exporter:0.1.0", "role-name: backup-reader", "metadata.name: observability", string(config),
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %s in what it renders to", want)
		}
	}
}
