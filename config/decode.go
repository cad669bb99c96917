package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"

	promconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"
)

// decoder fills a value from YAML nodes and collects what is wrong, with file, line and field: yaml's own decoder knows the line but not
// the field, and forgets both once the value is made.
type decoder struct {
	*findings
	merging map[*yaml.Node]bool
}

// document parses content, which must be one YAML document.
func (d *decoder) document(content []byte) *yaml.Node {
	var root, second yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(content))
	if err := dec.Decode(&root); err != nil && !errors.Is(err, io.EOF) {
		d.syntax(content, err)
		return nil
	}
	if err := dec.Decode(&second); err == nil {
		d.mistake(second.Line, "", "a second YAML document")
	} else if !errors.Is(err, io.EOF) {
		d.syntax(content, err)
	}
	if len(root.Content) == 0 {
		return nil
	}
	return root.Content[0]
}

var (
	yamlLine    = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)
	fieldOfLine = regexp.MustCompile(`(?:^|[\s{,])"?([a-z_]+)"?\s*:`)
)

// syntax notes a syntax error, at the line that makes the file invalid: the parser tells where the block around it begins. It names the
// last field of that line, and quotes nothing else: a value may be a secret.
func (d *decoder) syntax(content []byte, err error) {
	text, line := cutLine(err)
	lines := strings.SplitAfter(string(content), "\n")
	line = max(line, 1+sort.Search(len(lines)-1, func(n int) bool {
		var ignored yaml.Node
		err := yaml.Unmarshal([]byte(strings.Join(lines[:n+1], "")), &ignored)
		if err == nil {
			return false
		}
		same, _ := cutLine(err)
		return same == text
	}))
	if strings.HasPrefix(text, "unknown anchor") { // it quotes the value
		text = "unknown anchor (a value that begins with * must be quoted)"
	}
	field := ""
	if line <= len(lines) {
		for _, m := range fieldOfLine.FindAllStringSubmatch(lines[line-1], -1) {
			if isField(m[1]) {
				field = m[1]
			}
		}
	}
	d.broken[""] = true // nothing is decoded
	d.mistake(line, field, "%s", text)
}

// cutLine returns the text of a syntax error and the line that it tells.
func cutLine(err error) (text string, line int) {
	text, line = err.Error(), 1
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		if n, err := strconv.Atoi(m[1]); err == nil {
			line = n
		}
		text = text[len(m[0]):]
	}
	return text, line
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
		d.members(n, path, fieldNames(v.Type()), func(name string) (reflect.Value, func()) {
			return fieldOf(v, name), func() {}
		})
	case v.Kind() == reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		d.members(n, path, nil, func(name string) (reflect.Value, func()) {
			element := reflect.New(v.Type().Elem()).Elem()
			return element, func() { v.SetMapIndex(reflect.ValueOf(name), element) }
		})
	case v.Kind() == reflect.Slice:
		if n.Kind != yaml.SequenceNode {
			d.mistake(n.Line, path, "must be a list")
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

// members decodes a mapping into the values that target returns. It calls the function returned with a value once that is decoded. Known
// are the names that the mapping can have, if they are fixed.
func (d *decoder) members(n *yaml.Node, path string, known []string, target func(name string) (reflect.Value, func())) {
	if n.Kind != yaml.MappingNode {
		d.mistake(n.Line, path, "must be a mapping of fields to values")
		return
	}
	seen := map[string]int{}
	content := d.merged(n, path)
	for i := 0; i < len(content); i += 2 {
		key, value := content[i], content[i+1]
		field := key.Value
		if path != "" {
			field = path + "." + key.Value
		}
		if first, twice := seen[key.Value]; twice {
			d.mistake(key.Line, field, "given twice, first in line %d", first)
			continue
		}
		seen[key.Value] = key.Line
		v, done := target(key.Value)
		if !v.IsValid() {
			d.unknown(key, path, field, known)
			continue
		}
		if value.Tag != "!!null" { // a field left empty counts as left out
			d.lines[field] = key.Line
		}
		d.decode(value, field, v)
		done()
	}
}

// unknown notes a field that its mapping cannot have, with what is probably meant.
func (d *decoder) unknown(key *yaml.Node, path, field string, known []string) {
	hint := ""
	if place := placesOf(key.Value); place != "" {
		hint = "; it belongs in " + place
	} else if meant := nearest(key.Value, known); meant != "" {
		hint = "; did you mean " + meant + "?"
		d.broken[strings.TrimPrefix(path+"."+meant, ".")] = true // not missing besides
	}
	d.mistake(key.Line, field, "unknown field%s", hint)
}

// merged returns the keys and values of a mapping, including those of mappings that it merges (<<), which its own keys override.
func (d *decoder) merged(n *yaml.Node, path string) (content []*yaml.Node) {
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
			d.mistake(m.Line, path, "<< needs a mapping, or a list of mappings")
		case d.merging[m]:
			d.mistake(m.Line, path, "<< contains itself")
		default:
			d.merging[m] = true
			defer delete(d.merging, m)
			for inner := d.merged(m, path); len(inner) > 0; inner = inner[2:] {
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
	for known, f := range fields(v.Type()) {
		if known == name {
			return v.FieldByIndex(f.Index)
		}
	}
	return reflect.Value{}
}

func (d *decoder) leaf(n *yaml.Node, path string, v reflect.Value) {
	if n.Kind != yaml.ScalarNode {
		d.mistake(n.Line, path, "must be a single value")
		return
	}
	if placeholder.MatchString(n.Value) {
		d.warn(path, "contains ${…}, which is not replaced: the exporter reads no environment variables in this file")
	}
	if v.Kind() == reflect.String {
		if n.Tag == "!!binary" {
			d.mistake(n.Line, path, "must be text")
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
		d.mistake(n.Line, path, "must be %s", kindName(v))
	case v.Type() == reflect.TypeFor[promconfig.URL]():
		d.mistake(n.Line, path, "not a valid URL") // the error's text may contain a password
	case v.Type() == reflect.TypeFor[model.Duration]():
		hint := ""
		if meant := durationFor(path[strings.LastIndexByte(path, '.')+1:], n.Value); meant != "" {
			hint = "; write " + meant
		}
		d.mistake(n.Line, path, "%v%s", err, hint)
	default:
		d.mistake(n.Line, path, "%v", err)
	}
}

var placeholder = regexp.MustCompile(`\$\{[A-Za-z_][A-Za-z0-9_]*\}`)

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
