//go:build system

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// systemd understands every line of the unit, and finds it well confined: an exposure of at most 2 of 10.
func TestSystemdUnit(t *testing.T) {
	const unit = "starrocks_backup_exporter.service"
	text, err := os.ReadFile(filepath.Join("deploy/systemd", unit))
	if err != nil {
		t.Fatal(err)
	}
	binary := build(t)
	installed := strings.Replace(string(text), "=/usr/bin/starrocks_backup_exporter ", "="+binary+" ", 1)
	file := filepath.Join(t.TempDir(), unit)
	if err := os.WriteFile(file, []byte(installed), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"verify", file}, {"security", "--offline=true", "--threshold=20", "--no-pager", file}} {
		out, err := exec.CommandContext(t.Context(), "systemd-analyze", args...).CombinedOutput()
		// A key that it does not know is only a warning to it.
		if err != nil || args[0] == "verify" && strings.Contains(string(out), unit) {
			t.Errorf("systemd-analyze %s: %v\n%s", args[0], err, out)
		}
	}
}
