package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// One check says everything: mistakes of every kind, warnings, and what is wrong with the other file.
func TestCheckConfig(t *testing.T) {
	directory := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(directory, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	good := write("good.yml", "instances: [{instance_id: c-1, region_id: cn-hangzhou}, {instance_id: c-2, region_id: cn-hangzou}]")
	bad := write("bad.yml", "api: {timeout: 10, page_size: 0}\ninstances: [{instance_id: c-1, region_id: cn-hangzou}]")
	webGood := write("web.good.yml", "http_server_config: {http2: false}")
	webBad := write("web.bad.yml", "basic_auth_users: canary")
	webUnknown := write("web.unknown.yml", "foo: canary\nbar: 1")
	webOpen := write("web.open.yml", "basic_auth_users: {someone: canary}")
	const hint = "did you mean cn-hangzhou?"
	for name, test := range map[string]struct {
		file, web string
		status    int
		says      []string
	}{
		"good": {good, webGood, 0, []string{
			"warning: " + good + ":1: instances[1].region_id: ", hint, "good.yml: OK, instances: 2, regions to discover: 0, warnings: 1\n",
		}},
		"a bad web configuration": {good, webBad, 1, []string{hint, webBad + ":1: cannot unmarshal"}},
		"unknown fields": {good, webUnknown, 1, []string{
			webUnknown + ":1: foo: unknown field\n" + webUnknown + ":2: bar: unknown field\n",
		}},
		"an open password":     {good, webOpen, 1, []string{webOpen + ": basic_auth_users: not a bcrypt hash: "}},
		"no web configuration": {good, filepath.Join(directory, "none.yml"), 1, []string{hint, "none.yml: no such file"}},
		"everything": {bad, webBad, 1, []string{
			bad + ":1: api.timeout: ", "write 10s", bad + ":1: api.page_size: must be from 1 to 100", hint, webBad,
		}},
		"no file": {filepath.Join(directory, "none.yml"), webBad, 1, []string{"none.yml: no such file", webBad}},
	} {
		o, err := parse([]string{"--config.check", "--config.file=" + test.file, "--web.config.file=" + test.web})
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		if status := checkConfig(o, &out, &out); status != test.status {
			t.Errorf("%s: status %d instead of %d", name, status, test.status)
		}
		for _, text := range test.says {
			if !strings.Contains(out.String(), text) {
				t.Errorf("%s: %q is not said:\n%s", name, text, out.String())
			}
		}
		if strings.Contains(out.String(), "canary") || test.status != 0 && strings.Contains(out.String(), ": OK") {
			t.Errorf("%s: a secret is shown, or all is well:\n%s", name, out.String())
		}
	}
}
