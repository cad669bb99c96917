//go:build system

package test

import (
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// Dependabot looks into the directories that its configuration names, and into no others.
func TestDependabotCoversEveryModule(t *testing.T) {
	text, err := os.ReadFile(".github/dependabot.yml")
	if err != nil {
		t.Fatal(err)
	}
	var configuration struct {
		Updates []struct {
			Ecosystem   string `yaml:"package-ecosystem"`
			Directory   string
			Directories []string
		}
	}
	if err := yaml.Unmarshal(text, &configuration); err != nil {
		t.Fatal(err)
	}
	covered := map[string][]string{}
	for _, u := range configuration.Updates {
		covered[u.Ecosystem] = append(covered[u.Ecosystem], u.Directories...)
		if u.Directory != "" {
			covered[u.Ecosystem] = append(covered[u.Ecosystem], u.Directory)
		}
	}
	for ecosystem, file := range map[string]string{
		"gomod": "go.mod", "npm": "package.json", "docker": "Dockerfile", "docker-compose": "compose.yml",
	} {
		found, err := exec.CommandContext(t.Context(), "git", "ls-files", "-z", "--", file, "**/"+file).Output()
		if err != nil {
			t.Fatal(err)
		}
		var directories []string
		for f := range strings.SplitSeq(strings.Trim(string(found), "\x00"), "\x00") {
			directories = append(directories, path.Join("/", path.Dir(f)))
		}
		slices.Sort(directories)
		slices.Sort(covered[ecosystem])
		if !slices.Equal(covered[ecosystem], directories) {
			t.Errorf("%s: covers %q, the repository has %q", ecosystem, covered[ecosystem], directories)
		}
	}
}
