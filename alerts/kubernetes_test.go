package main

import (
	"regexp"
	"strings"
	"testing"
)

// The rules as Kubernetes takes them are these rules.
func TestKubernetesHasTheseRules(t *testing.T) {
	_, spec, _ := strings.Cut(readText(t, "../deploy/kubernetes/prometheusrule.yaml"), "\nspec:\n")
	if want := regexp.MustCompile(`(?m)^.`).ReplaceAllString(readText(t, "rules.yml"), "  $0"); spec != want {
		t.Error("deploy/kubernetes/prometheusrule.yaml is not what these rules make: run make kubernetes")
	}
}
