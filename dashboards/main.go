// The generator of the dashboards: it writes fleet.json and instance.json, which Grafana imports as they are.
// What is said once here (colors, units, which series count) stands in them in dozens of places.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
)

func main() {
	for name, d := range dashboards() {
		text, err := d.json()
		if err == nil {
			err = os.WriteFile(name, text, 0o644) //nolint:gosec // for everybody to read
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

func dashboards() map[string]object {
	return map[string]object{"fleet.json": fleet(), "instance.json": instance()}
}

// object is a JSON object. It is written with its keys in order, so that a change shows as what it is.
type object map[string]any

func (o object) json() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(o)
	return b.Bytes(), err
}

// with returns the object with more fields, those in place of its own.
func (o object) with(more object) object {
	for k, v := range more {
		o[k] = v
	}
	return o
}
