//go:build system

package main

import (
	"os/exec"
	"testing"
)

// promtool accepts the rules, and they do what rules_test.yml says: Debian's, of Prometheus 2, and that of Prometheus 3, whose ranges are
// left-open.
func TestRulesByPromtool(t *testing.T) {
	for _, promtool := range []string{"promtool", "../.tools/bin/promtool"} {
		for _, args := range [][]string{
			{"check", "rules", "rules.yml"},
			{"test", "rules", "rules_test.yml"},
		} {
			t.Run(promtool+" "+args[0], func(t *testing.T) {
				t.Parallel()
				if out, err := exec.CommandContext(t.Context(), promtool, args...).CombinedOutput(); err != nil {
					t.Errorf("%v\n%s", err, out)
				}
			})
		}
	}
}
