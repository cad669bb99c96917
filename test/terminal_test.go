//go:build system

package test

import (
	"os/exec"
	"strings"
	"testing"
)

// Colors are for terminals, and for people who do not object to them.
func TestColors(t *testing.T) {
	binary := build(t)
	const recording = " check --api.playback=testdata/recording"
	for name, test := range map[string]struct {
		command string
		colors  bool
	}{
		"terminal":         {"script --quiet --command '" + binary + recording + "' /dev/null", true},
		"NO_COLOR":         {"NO_COLOR=1 script --quiet --command '" + binary + recording + "' /dev/null", false},
		"a dumb terminal":  {"TERM=dumb script --quiet --command '" + binary + recording + "' /dev/null", false},
		"a pipe":           {binary + recording + " | cat", false},
		"JSON in terminal": {"script --quiet --command '" + binary + recording + " --output=json' /dev/null", false},
	} {
		out, err := exec.CommandContext(t.Context(), "sh", "-c", "unset NO_COLOR; export TERM=xterm; "+test.command).CombinedOutput()
		if err != nil || !strings.Contains(string(out), "unhealthy") {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		if got := strings.Contains(string(out), "\x1b["); got != test.colors {
			t.Errorf("%s: colors are %t instead of %t:\n%q", name, got, test.colors, out)
		}
	}
}
