//go:build system

package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// The demo stack without containers: Prometheus scrapes the demo, its alerts reach Alertmanager, its dashboard is drawn, and an interrupt
// ends all of it.
func TestDemoStack(t *testing.T) {
	if out, err := exec.CommandContext(t.Context(), "make", "build").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	stack := start(t, "deploy/demo-stack.sh")
	eventually(t, "an alert in Alertmanager", func() error {
		text, err := fetch(t, "http://localhost:9093/api/v2/alerts")
		if err == nil && !strings.Contains(string(text), "StarRocksBackupWatchdog") {
			err = fmt.Errorf("no watchdog in %s", text)
		}
		if err == nil && !strings.Contains(string(text), `"generatorURL":"http://localhost:9090/`) {
			err = fmt.Errorf("no link to Prometheus in %s", text)
		}
		return err
	})
	if out, err := exec.CommandContext(t.Context(), "make", "draw").CombinedOutput(); err != nil { // it fails if a query does
		t.Errorf("%v\n%s", err, out)
	}
	if err := stack.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end of all", func() error {
		for _, port := range []string{"10980", "9090", "9093"} {
			if _, err := fetch(t, "http://localhost:"+port+"/"); err == nil {
				return fmt.Errorf("port %s still answers", port)
			}
		}
		return nil
	})
}

// What compose.yml mounts and runs exists. No engine runs it here: its images come from a registry.
func TestComposeMountsWhatIsThere(t *testing.T) {
	text, err := os.ReadFile("deploy/compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	var compose struct {
		Services map[string]struct {
			Build, Image string
			Command      []string
			Volumes      []string
		}
	}
	if err := yaml.Unmarshal(text, &compose); err != nil {
		t.Fatal(err)
	}
	provisioned := map[string]bool{}
	for name, s := range compose.Services {
		for _, v := range s.Volumes {
			from, to, _ := strings.Cut(v, ":")
			if _, err := os.Stat(filepath.Join("deploy", from)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			provisioned[strings.TrimSuffix(to, ":ro")] = true
		}
		for _, c := range s.Command {
			if _, file, ok := strings.Cut(c, "=/stack/"); ok {
				if _, err := os.Stat(file); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
	}
	for _, file := range []string{"fleet.json", "instance.json"} { // where provisioning/dashboards.yml looks
		if text, err := os.ReadFile("dashboards/provisioning/dashboards.yml"); err != nil ||
			!strings.Contains(string(text), "path: /var/lib/grafana/dashboards/starrocks_backup_exporter\n") {
			t.Error(err)
		}
		if !provisioned["/var/lib/grafana/dashboards/starrocks_backup_exporter/"+file] {
			t.Errorf("%s is not provisioned", file)
		}
	}
}
