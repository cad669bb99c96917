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
		if at, err := r.Failure(); !errors.Is(err, bad) || !at.Equal(now) {
			t.Errorf("the failure is %v, at %v", err, at)
		}
		*fail = nil
	}
	if err := r.Reload(); err != nil {
		t.Fatal(err)
	}
	expect(1, 2000)
	if _, err := r.Failure(); err != nil {
		t.Errorf("still failed: %v", err)
	}
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

// What is allowed but probably a mistake is a warning, which never repeats a value that may be a secret.
func TestWarnings(t *testing.T) {
	var all []string
	for _, file := range append(fixtures(t, ".good.yml"), "../starrocks_backup_exporter.example.yml") {
		_, warnings, err := Check(file)
		if err != nil {
			t.Error(err)
		}
		all = append(all, warnings...)
	}
	golden(t, "testdata/warnings.txt", strings.Join(all, "\n")+"\n")
	const gateway = "api: {endpoint: 'http://gateway'}\ninstances: [{instance_id: c, region_id: private-1}]"
	if c, err := Parse("gateway.yml", []byte(gateway)); err != nil || len(c.Warnings()) > 0 {
		t.Errorf("a region of an endpoint of its own: %v, %v", c.Warnings(), err)
	}
	const both = "accounts: {prod: {access_key_id: '${ID}'}}\ninstances: [{instance_id: '', region_id: mars, account: prod}]"
	if _, warnings, err := parse("both.yml", []byte(both)); err == nil || len(warnings) != 2 {
		t.Errorf("warnings beside errors: %v, %v", warnings, err)
	}
}

// A mistake in an instance hides no other mistake, and no warning that does not follow from it.
func TestMistakesHideNothing(t *testing.T) {
	const text = `api: {endpoint: "ftp://user:canary@host/path"}
accounts:
  idle: {access_key_id: id, access_key_secret: canary}
  twice: {access_key_secret: canary, access_key_secret_file: secret, security_token: canary, security_token_file: secret}
instances:
- {instance_id: c-1, region: cn-hangzhou, max_age: 26}
- {instance_id: c-1, region_id: cn-shanghai, account: twice}
- {instance_id: c-2, region_id: cn-shanghai, schedule: "30 25 * * *", time_zone: Mars/Base}
`
	_, warnings, err := parse("testdata/x.yml", []byte(text))
	const want = `testdata/x.yml:1: api.endpoint: must not hold credentials
testdata/x.yml:1: api.endpoint: must be an http or https URL with a host
testdata/x.yml:1: api.endpoint: must not have anything after the host
testdata/x.yml:4: accounts.twice: only one of access_key_secret and access_key_secret_file may be given
testdata/x.yml:4: accounts.twice: only one of security_token and security_token_file may be given
testdata/x.yml:4: accounts.twice.access_key_id: missing, but there is a secret or a token
testdata/x.yml:6: instances[0].region: unknown field; did you mean region_id?
testdata/x.yml:6: instances[0].max_age: not a valid duration string: "26"; write 26h
testdata/x.yml:8: instances[2].time_zone: unknown time zone "Mars/Base"
testdata/x.yml:8: instances[2].schedule: not a cron expression: end of range (25) above maximum (23): "25"`
	if err == nil || err.Error() != want {
		t.Errorf("%v\nwant:\n%s", err, want)
	}
	if got := strings.Join(warnings, "\n"); got != "testdata/x.yml:3: accounts.idle: no instance and no discovery uses this account" {
		t.Errorf("warnings: %s", got)
	}
}

// The field of a syntax error is the last that the line names.
func TestSyntaxErrorsNameTheField(t *testing.T) {
	for text, want := range map[string]string{
		"instances:\n- {instance_id: c-1, region_id: cn-hangzhou\nbackups: {}":        "x.yml:2: region_id: ",
		"accounts:\n  prod: {access_key_id: a, access_key_secret: canary: x}\n":       "x.yml:2: access_key_secret: ",
		"instances:\n- instance_id: c-1\n  region_id: cn-hangzhou\n   max_age: 26h\n": "x.yml:4: max_age: ",
		"accounts:\n  prod: {canary: canary\n":                                        "x.yml:2: ",
	} {
		_, err := Parse("x.yml", []byte(text))
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func TestNearest(t *testing.T) {
	fields := []string{"instance_id", "region_id", "account", "max_age", "refresh_interval"}
	for word, want := range map[string]string{
		"regoin_id": "region_id", "Region-ID": "region_id", "region": "region_id", "acount": "account", "maxAge": "max_age",
		"interval": "refresh_interval", "id": "", "name": "", "password": "", "": "",
	} {
		if got := nearest(word, fields); got != want {
			t.Errorf("%q is taken for %q instead of %q", word, got, want)
		}
	}
}

func TestDurationFor(t *testing.T) {
	for value, want := range map[string]string{
		"26": "26h", "26 h": "26h", "26 hours": "26h", "90 min": "90m", "2 Days": "2d", "1.5h": "1h30m",
		"5ms": "5ms", "3 months": "", "soon": "", "-1h": "",
	} {
		if got := durationFor("max_age", value); got != want {
			t.Errorf("%q is taken for %q instead of %q", value, got, want)
		}
	}
	for field, want := range map[string]string{"timeout": "5s", "refresh_interval": "5m", "grace": "5h"} {
		if got := durationFor(field, "5"); got != want {
			t.Errorf("%s: 5 is taken for %q instead of %q", field, got, want)
		}
	}
}
