//go:build system

package structure

import "testing"

// TestLayoutOfModules needs the dependencies of the other modules, which go test ./... on a bare machine does not download.
func TestLayoutOfModules(t *testing.T) {
	for _, module := range []string{"alerts/drill", "dashboards"} {
		t.Run(module, func(t *testing.T) { checkModule(t, "../../"+module) })
	}
}
