package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	promconfig "github.com/prometheus/common/config"
	"go.yaml.in/yaml/v3"
)

// decoder fills a value from YAML nodes and collects what is wrong, with file, line and field: yaml's own decoder knows the line but not
// the field, and forgets both once the value is made.
type decoder struct {
	file    string
	lines   map[string]int // of every field, by its path
	merging map[*yaml.Node]bool
	errors  []lineError
}

type lineError struct {
	line int
	text string
}

// document parses content, which must be one YAML document.
func (d *decoder) document(content []byte) *yaml.Node {
	var root, second yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(content))
	if err := dec.Decode(&root); err != nil && !errors.Is(err, io.EOF) {
		d.syntax(err)
		return nil
	}
	if err := dec.Decode(&second); err == nil {
		d.failLine(second.Line, "", "a second YAML document")
	} else if !errors.Is(err, io.EOF) {
		d.syntax(err)
	}
	if len(root.Content) == 0 {
		return nil
	}
	return root.Content[0]
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

func (d *decoder) syntax(err error) {
	text, line := err.Error(), 1
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		if n, err := strconv.Atoi(m[1]); err == nil {
			line = n
		}
		text = text[len(m[0]):]
	}
	if strings.HasPrefix(text, "unknown anchor") { // it quotes the value, which may be a secret
		text = "unknown anchor (a value that begins with * must be quoted)"
	}
	d.failLine(line, "", "%s", text)
}

// fail notes an error at the field of a path, or at the nearest field around it that the file contains.
func (d *decoder) fail(path, format string, args ...any) {
	line := 0
	for p := path; ; p = p[:max(0, strings.LastIndexAny(p, ".["))] {
		if line = d.lines[p]; line > 0 || p == "" {
			break
		}
	}
	d.failLine(max(line, 1), path, format, args...)
}

func (d *decoder) failLine(line int, path, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if path != "" {
		text = path + ": " + text
	}
	d.errors = append(d.errors, lineError{line, text})
}

// err returns the noted errors in the order of the file, one per line; nil if there are none.
func (d *decoder) err() error {
	slices.SortStableFunc(d.errors, func(a, b lineError) int { return cmp.Compare(a.line, b.line) })
	all := make([]error, len(d.errors))
	for i, e := range d.errors {
		all[i] = fmt.Errorf("%s:%d: %s", d.file, e.line, e.text)
	}
	return errors.Join(all...)
}

func (d *decoder) decode(n *yaml.Node, path string, v reflect.Value) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if _, known := d.lines[path]; !known {
		d.lines[path] = n.Line
	}
	if n.Tag == "!!null" {
		return // the default stays
	}
	switch {
	case v.Kind() == reflect.Struct && v.Type() != reflect.TypeFor[promconfig.URL]():
		d.members(n, path, func(name string) (reflect.Value, func()) {
			return fieldOf(v, name), func() {}
		})
	case v.Kind() == reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		d.members(n, path, func(name string) (reflect.Value, func()) {
			element := reflect.New(v.Type().Elem()).Elem()
			return element, func() { v.SetMapIndex(reflect.ValueOf(name), element) }
		})
	case v.Kind() == reflect.Slice:
		if n.Kind != yaml.SequenceNode {
			d.failLine(n.Line, path, "must be a list")
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
		for i, element := range n.Content {
			d.decode(element, fmt.Sprintf("%s[%d]", path, i), v.Index(i))
		}
	default:
		d.leaf(n, path, v)
	}
}

// members decodes a mapping into the values that target returns. It calls the function returned with a value once that is decoded.
func (d *decoder) members(n *yaml.Node, path string, target func(name string) (reflect.Value, func())) {
	if n.Kind != yaml.MappingNode {
		d.failLine(n.Line, path, "must be a mapping of fields to values")
		return
	}
	seen := map[string]int{}
	content := d.merged(n)
	for i := 0; i < len(content); i += 2 {
		key, value := content[i], content[i+1]
		field := key.Value
		if path != "" {
			field = path + "." + key.Value
		}
		if first, twice := seen[key.Value]; twice {
			d.failLine(key.Line, field, "given twice, first in line %d", first)
			continue
		}
		seen[key.Value] = key.Line
		v, done := target(key.Value)
		if !v.IsValid() {
			d.failLine(key.Line, field, "unknown field")
			continue
		}
		if value.Tag != "!!null" { // a field left empty counts as left out
			d.lines[field] = key.Line
		}
		d.decode(value, field, v)
		done()
	}
}

// merged returns the keys and values of a mapping, including those of mappings that it merges (<<), which its own keys override.
func (d *decoder) merged(n *yaml.Node) (content []*yaml.Node) {
	own := map[string]bool{}
	var merges []*yaml.Node
	for i := 0; i < len(n.Content); i += 2 {
		if n.Content[i].Tag == "!!merge" {
			merges = append(merges, n.Content[i+1])
			continue
		}
		own[n.Content[i].Value] = true
		content = append(content, n.Content[i], n.Content[i+1])
	}
	for len(merges) > 0 {
		m := merges[0]
		merges = merges[1:]
		switch {
		case m.Kind == yaml.AliasNode:
			merges = append([]*yaml.Node{m.Alias}, merges...)
		case m.Kind == yaml.SequenceNode:
			merges = append(slices.Clone(m.Content), merges...)
		case m.Kind != yaml.MappingNode:
			d.failLine(m.Line, "", "<< needs a mapping, or a list of mappings")
		case d.merging[m]:
			d.failLine(m.Line, "", "<< contains itself")
		default:
			d.merging[m] = true
			defer delete(d.merging, m)
			for inner := d.merged(m); len(inner) > 0; inner = inner[2:] {
				if key := inner[0].Value; !own[key] {
					own[key] = true
					content = append(content, inner[0], inner[1])
				}
			}
		}
	}
	return content
}

// fieldOf returns the field of a struct with a YAML name, the zero Value if there is none.
func fieldOf(v reflect.Value, name string) reflect.Value {
	for i := range v.NumField() {
		if v.Type().Field(i).Tag.Get("yaml") == ",inline" {
			if f := fieldOf(v.Field(i), name); f.IsValid() {
				return f
			}
		}
		if tag, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ","); tag == name && tag != "" {
			return v.Field(i)
		}
	}
	return reflect.Value{}
}

func (d *decoder) leaf(n *yaml.Node, path string, v reflect.Value) {
	if n.Kind != yaml.ScalarNode {
		d.failLine(n.Line, path, "must be a single value")
		return
	}
	if v.Kind() == reflect.String {
		if n.Tag == "!!binary" {
			d.failLine(n.Line, path, "must be text")
			return
		}
		v.SetString(n.Value) // an id or a secret that consists of digits is a string, too
		return
	}
	err := n.Decode(v.Addr().Interface())
	if err == nil {
		return
	}
	var typeError *yaml.TypeError
	switch {
	case errors.As(err, &typeError):
		d.failLine(n.Line, path, "must be %s", kindName(v))
	case v.Type() == reflect.TypeFor[promconfig.URL]():
		d.failLine(n.Line, path, "not a valid URL") // the error's text may contain a password
	default:
		d.failLine(n.Line, path, "%v", err)
	}
}

func kindName(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Float64:
		return "a number"
	default:
		return "a whole number"
	}
}
