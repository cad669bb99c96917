package config

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

var update = flag.Bool("update", false, "rewrite the expected texts")

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if strings.Contains(got, "canary") {
		t.Errorf("a secret is shown:\n%s", got)
	}
}

func fixtures(t *testing.T, suffix string) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*" + suffix)
	if err != nil || len(files) == 0 {
		t.Fatal("no fixtures", err)
	}
	return files
}

// Each fixture is one way to get it wrong, with its message beside it.
func TestBadFiles(t *testing.T) {
	for _, file := range fixtures(t, ".bad.yml") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			c, err := Load(file)
			if err == nil {
				t.Fatalf("loaded %s", c)
			}
			golden(t, strings.TrimSuffix(file, "yml")+"txt", err.Error()+"\n")
		})
	}
}

func TestGoodFiles(t *testing.T) {
	for _, file := range fixtures(t, ".good.yml") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			c, err := Load(file)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, strings.TrimSuffix(file, "yml")+"txt", c.String())
			again, err := Parse(file, []byte(strings.ReplaceAll(c.String(), "testdata/", "")))
			if err != nil || again.String() != c.String() {
				t.Errorf("what is shown does not load as the same: %v\n%s", err, again)
			}
		})
	}
}

// fmt does not know secrets, whichever part of the configuration it is given.
func TestSecretsAreNotPrinted(t *testing.T) {
	c, err := Load("testdata/full.good.yml")
	if err != nil {
		t.Fatal(err)
	}
	c.API.HTTPClient.TLSConfig.Key = "canary"
	for _, v := range []any{c, *c, c.API, c.API.HTTPClient, c.Accounts, c.Accounts["test"]} {
		for _, format := range []string{"%v", "%+v", "%s"} {
			if text := fmt.Sprintf(format, v); strings.Contains(text, "canary") {
				t.Errorf("%s of %T shows a secret:\n%s", format, v, text)
			}
		}
	}
}

func TestMissingFile(t *testing.T) {
	if _, err := Load("testdata/nowhere.yml"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}

func TestReloadKeepsWhatRan(t *testing.T) {
	good, bad := Default(), errors.New("bad")
	var load, apply error
	registry := prometheus.NewRegistry()
	now := time.Unix(1000, 0)
	r := NewReloader(
		func() (*Config, error) { return good, load },
		func(*Config) error { return apply },
		registry,
		func() time.Time { return now },
	)
	expect := func(successful, at float64) {
		t.Helper()
		text := fmt.Sprintf(`
# HELP starrocks_backup_exporter_config_last_reload_success_timestamp_seconds Last successful load of the configuration.
# TYPE starrocks_backup_exporter_config_last_reload_success_timestamp_seconds gauge
starrocks_backup_exporter_config_last_reload_success_timestamp_seconds %v
# HELP starrocks_backup_exporter_config_last_reload_successful 1 if the last attempt to load the configuration succeeded, else 0.
# TYPE starrocks_backup_exporter_config_last_reload_successful gauge
starrocks_backup_exporter_config_last_reload_successful %v
`, at, successful)
		if err := testutil.GatherAndCompare(registry, strings.NewReader(text)); err != nil {
			t.Error(err)
		}
	}
	if r.Current() != nil {
		t.Error("a configuration before the first reload")
	}
	if err := r.Reload(); err != nil {
		t.Fatal(err)
	}
	expect(1, 1000)
	now = time.Unix(2000, 0)
	for _, fail := range []*error{&load, &apply} {
		*fail = bad
		if err := r.Reload(); !errors.Is(err, bad) || r.Current() != good {
			t.Errorf("error %v, runs %v", err, r.Current())
		}
		expect(0, 1000)
		*fail = nil
	}
	if err := r.Reload(); err != nil {
		t.Fatal(err)
	}
	expect(1, 2000)
}

func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/*.good.yml", "testdata/*.bad.yml"} {
		files, _ := filepath.Glob(pattern)
		for _, file := range files {
			content, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(content)
		}
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		c, err := Parse("testdata/fuzz.yml", content)
		if err != nil && !strings.HasPrefix(err.Error(), "testdata/fuzz.yml:") {
			t.Errorf("an error without a place: %v", err)
		}
		if err == nil && len(c.Instances)+len(c.Discovery) == 0 {
			t.Error("no instances")
		}
	})
}
