//go:build system

package test

import (
	"fmt"
	"maps"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient/simulator"
)

// elsewhere says what runs the commands that TestCommandsOfTheDocuments cannot run: they need other programs, or do not end.
var elsewhere = map[string]string{
	"make build":         ".ci/run",
	"docker build":       "image_test.go, with Buildah",
	"dpkg -i":            "scripts/check-release.sh",
	"go run":             "alerts/main_test.go",
	"vmagent":            "nothing: tried by hand, as the document says",
	"vmalert":            "nothing: tried by hand, as the document says",
	"--shard":            "TestHeavyShardsOfTenThousand",
	"--web.external-url": "main_test.go",
}

// TestCommandsOfTheDocuments runs the shell blocks marked "sh test", each document in a directory of its own: with a configuration of
// one healthy instance in a simulated API, and the demo where a reader has an exporter.
func TestCommandsOfTheDocuments(t *testing.T) {
	documents, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	binaries := t.TempDir()
	if err := os.Symlink(build(t), filepath.Join(binaries, "starrocks_backup_exporter")); err != nil {
		t.Fatal(err)
	}
	demo := freeAddress(t)
	start(t, filepath.Join(binaries, "starrocks_backup_exporter"), "--demo", "--web.listen-address="+demo)
	eventually(t, "the demo", func() error {
		_, err := fetch(t, "http://"+demo+"/-/ready")
		return err
	})
	configuration := oneHealthyInstance(t)
	block := regexp.MustCompile("(?ms)^ *```sh( test)?\n(.*?)^ *```")
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	adapt := strings.NewReplacer("localhost:10980", demo, "make ", "make -C "+root+" ", "DIR=recording", "DIR=$PWD/recording")
	ran := 0
	for _, document := range documents {
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		directory := t.TempDir()
		if err := os.WriteFile(filepath.Join(directory, "starrocks_backup_exporter.yml"), configuration, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, m := range block.FindAllStringSubmatch(string(text), -1) {
			if m[1] == "" {
				first := strings.TrimPrefix(strings.TrimSpace(m[2]), "starrocks_backup_exporter ")
				if !slices.ContainsFunc(slices.Collect(maps.Keys(elsewhere)), func(c string) bool { return strings.HasPrefix(first, c) }) {
					t.Errorf("%s: nothing runs\n%s", document, m[2])
				}
				continue
			}
			ran++
			cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", adapt.Replace(m[2]))
			cmd.Dir, cmd.Env = directory, append(os.Environ(), "PATH="+binaries+":"+os.Getenv("PATH"))
			if out, err := cmd.CombinedOutput(); err != nil || len(out) == 0 {
				t.Errorf("%s: %v\n%s%s", document, err, m[2], out)
			}
		}
	}
	if ran < 5 {
		t.Errorf("found only %d blocks", ran)
	}
}

// oneHealthyInstance serves an instance with a good backup, and returns a configuration that reads it.
func oneHealthyInstance(t *testing.T) []byte {
	t.Helper()
	sim := simulator.New(simulator.Options{AccessKeys: map[string]string{"id": "secret"}})
	sim.Set(simulator.Instance{
		InstanceID: "c-b25e21e24388", RegionID: "cn-hangzhou", Tasks: func(now time.Time) []simulator.Task {
			return []simulator.Task{{
				BackupTaskID: "bt-1", Status: "COMPLETED", Size: 1,
				Start: simulator.Millis(now.Add(-2 * time.Hour)), Finish: simulator.Millis(now.Add(-time.Hour)),
			}}
		},
	})
	server := httptest.NewServer(sim)
	t.Cleanup(server.Close)
	return fmt.Appendf(nil, `
api: {endpoint: %q}
accounts: {default: {access_key_id: id, access_key_secret: secret}}
instances: [{instance_id: c-b25e21e24388, region_id: cn-hangzhou}]
`, server.URL)
}
