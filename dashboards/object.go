package main

import (
	"bytes"
	"encoding/json"
	"maps"
)

// object is a JSON object. Its keys are written in order, so that diffs are small.
type object map[string]any

func (o object) json() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(o)
	return b.Bytes(), err
}

// with returns the object with more fields, which replace its own.
func (o object) with(more object) object {
	maps.Copy(o, more)
	return o
}
