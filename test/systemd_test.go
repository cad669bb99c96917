//go:build system

package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const systemdUnit = "starrocks_backup_exporter.service"

// unitFor writes the unit into a directory, for a binary at another place.
func unitFor(t *testing.T, directory, binary string) string {
	t.Helper()
	const installed = "=/usr/bin/starrocks_backup_exporter "
	text, err := os.ReadFile(filepath.Join("deploy/systemd", systemdUnit))
	if err != nil || !strings.Contains(string(text), installed) {
		t.Fatalf("no %q in the unit: %v", installed, err)
	}
	file := filepath.Join(directory, systemdUnit)
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(text), installed, "="+binary+" ")), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// systemd understands every line of the unit, and finds it well confined: an exposure of at most 2 of 10.
func TestSystemdUnit(t *testing.T) {
	file := unitFor(t, t.TempDir(), build(t))
	for _, args := range [][]string{{"verify", file}, {"security", "--offline=true", "--threshold=20", "--no-pager", file}} {
		out, err := exec.CommandContext(t.Context(), "systemd-analyze", args...).CombinedOutput()
		// A key that it does not know is only a warning to it.
		if err != nil || args[0] == "verify" && strings.Contains(string(out), systemdUnit) {
			t.Errorf("systemd-analyze %s: %v\n%s", args[0], err, out)
		}
	}
}

// A real systemd starts the unit, and the exporter can do all that it must within its confines.
func TestSystemdStartsTheUnit(t *testing.T) {
	root, exporter := t.TempDir(), freeAddress(t)
	for _, directory := range []string{"usr", "tmp", "var", "etc/systemd/system", "etc/starrocks_backup_exporter"} {
		if err := os.MkdirAll(filepath.Join(root, directory), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for file, text := range map[string]string{
		"etc/os-release":    "ID=test\n",
		"etc/passwd":        "root:x:0:0:root:/root:/bin/sh\n",
		"etc/group":         "root:x:0:\n",
		"etc/nsswitch.conf": "passwd: files systemd\ngroup: files systemd\n",
		"etc/starrocks_backup_exporter/starrocks_backup_exporter.yml": "instances: [{instance_id: c-1, region_id: cn-hangzhou}]\n",
		"etc/starrocks_backup_exporter/starrocks_backup_exporter.env": "ARGS=--demo --web.listen-address=" + exporter + "\n",
	} {
		if err := os.WriteFile(filepath.Join(root, file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{
		{"cp", "--no-dereference", "/bin", "/sbin", "/lib", "/lib64", root}, // links into /usr
		{"mv", build(t), filepath.Join(root, "exporter")},
		{"chmod", "755", root}, // the service's user must reach it
	} {
		if out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%q: %v\n%s", args, err, out)
		}
	}
	unitFor(t, filepath.Join(root, "etc/systemd/system"), "/exporter")

	start(t, "systemd-nspawn", "--boot", "--directory="+root, "--bind-ro=/usr", "--register=no", "--keep-unit", "--console=pipe",
		"systemd.unit="+systemdUnit)
	eventually(t, "the demo under systemd", func() error {
		text, err := fetch(t, "http://"+exporter+"/metrics")
		if err != nil {
			return err
		}
		for _, want := range []string{"\nstarrocks_backup_up{", "\nprocess_start_time_seconds "} { // the latter needs /proc
			if !strings.Contains(string(text), want) {
				return fmt.Errorf("no %q in %s", want, text)
			}
		}
		return nil
	})
	uids := uidsOf(
		t,
		"/exporter",
		"--config.file=/etc/starrocks_backup_exporter/starrocks_backup_exporter.yml",
		"--demo",
		"--web.listen-address="+exporter,
	)
	if len(uids) != 1 || uids[0] == 0 {
		t.Errorf("it runs as %d", uids)
	}
}
