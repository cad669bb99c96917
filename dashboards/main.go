// Command dashboards generates fleet.json and instance.json, which Grafana imports unchanged. Colors, units and the choice of series are
// defined once here and repeated in dozens of places there.
package main

import (
	"fmt"
	"os"
)

func main() {
	for name, d := range dashboards() {
		text, err := d.json()
		if err == nil {
			err = os.WriteFile(name, text, 0o644) //nolint:gosec // public
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

func dashboards() map[string]object {
	return map[string]object{"fleet.json": fleet(), "instance.json": instanceDashboard()}
}
