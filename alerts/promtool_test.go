//go:build system

package main

import (
	"os/exec"
	"testing"
)

// promtool accepts the rules, and they do what rules_test.yml says.
func TestRulesByPromtool(t *testing.T) {
	for _, args := range [][]string{
		{"check", "rules", "rules.yml"},
		{"test", "rules", "rules_test.yml"},
	} {
		if out, err := exec.CommandContext(t.Context(), "promtool", args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
}
