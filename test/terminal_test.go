//go:build system

package test

import (
	"fmt"
	"os/exec"
	"regexp"
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

// The man page has a title that man can show and a name that apropos can find.
func TestManPage(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), build(t), "--help-man").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, pattern := range []string{
		`(?m)\A\.TH "starrocks_backup_exporter" 1 "[-0-9]*" "starrocks_backup_exporter [^ "]+" "User Commands"$`,
		`(?m)^\.SH "NAME"\nstarrocks_backup_exporter \\- Prometheus exporter .+$`,
		`(?m)^\\fB--config\.file="starrocks_backup_exporter\.yml"\\fR$`,
		`(?m)^\\fBcheck \[<flags>\]`,
	} {
		if !regexp.MustCompile(pattern).Match(out) {
			t.Errorf("%s is missing:\n%s", pattern, out)
		}
	}
}

// bash completes commands and flags.
func TestCompletion(t *testing.T) {
	binary := build(t)
	for words, want := range map[string]string{
		"che": "check", "--config.f": "--config.file", "check --out": "--output", "--log.level=": "", "check --output j": "json",
	} {
		script := fmt.Sprintf(`source <(%[1]s --completion-script-bash)
COMP_WORDS=(%[1]s %[2]s); COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_starrocks_backup_exporter_bash_autocomplete; echo "${COMPREPLY[@]}"`, binary, words)
		out, err := exec.CommandContext(t.Context(), "bash", "-c", script).CombinedOutput()
		if err != nil || strings.TrimSpace(string(out)) != want {
			t.Errorf("%q is completed as %q instead of %q (%v)", words, out, want, err)
		}
	}
}
