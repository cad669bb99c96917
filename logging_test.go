package main

import (
	"strings"
	"testing"

	"github.com/go-kit/log"

	"git.example.com/starrocks/starrocks_backup_exporter/config"
)

// A start and a reload log the warnings.
func TestWarningsAreLogged(t *testing.T) {
	c, err := config.Parse("x.yml", []byte("instances: [{instance_id: c-1, region_id: cn-hangzou}]"))
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	logWarnings(c, log.NewLogfmtLogger(&out))
	if !strings.Contains(out.String(), "level=warn") || !strings.Contains(out.String(), "x.yml:1: ") {
		t.Errorf("logged %q", out.String())
	}
}

// Each mistake is a line of the log.
func TestMistakesAreLogged(t *testing.T) {
	_, err := config.Parse("x.yml", []byte("api: {timeout: 10, page_size: 0}"))
	if err == nil {
		t.Fatal("no mistake is found")
	}
	var out strings.Builder
	logLines(log.NewLogfmtLogger(&out), "reload failed", err)
	lines := strings.Count(out.String(), `level=error msg="reload failed" err="x.yml:1: `)
	if lines != 3 || strings.Contains(out.String(), `\n`) {
		t.Errorf("%d lines:\n%s", lines, out.String())
	}
}
