package config

import (
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
)

// nearest returns the candidate that a word is probably meant to be: one that differs in few letters, or else the only one that begins or
// ends with it. It returns "" if there is none.
func nearest(word string, candidates []string) string {
	const longest = 64 // of a word that somebody wrote
	if len(word) > longest {
		return ""
	}
	word = strings.ToLower(word)
	best, least := "", max(1, len(word)/3)+1
	var containing []string
	for _, c := range slices.Sorted(slices.Values(candidates)) {
		if d := distance(word, c); d < least {
			best, least = c, d
		}
		if strings.HasPrefix(c, word+"_") || strings.HasSuffix(c, "_"+word) {
			containing = append(containing, c)
		}
	}
	if best == "" && len(containing) == 1 {
		return containing[0]
	}
	return best
}

// distance returns how many bytes must be inserted, deleted or replaced to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}

// fieldNames returns the YAML names of the fields of a struct.
func fieldNames(t reflect.Type) (names []string) {
	for f := range fields(t) {
		names = append(names, f)
	}
	return names
}

// fields yields the fields of a struct, those of inlined structs included, with their YAML names.
func fields(t reflect.Type) func(yield func(name string, f reflect.StructField) bool) {
	return func(yield func(string, reflect.StructField) bool) {
		for _, f := range reflect.VisibleFields(t) {
			if name, _, _ := strings.Cut(f.Tag.Get("yaml"), ","); name != "" && !yield(name, f) {
				return
			}
		}
	}
}

// places returns where in the file each field belongs: by its name, the paths of the mappings that have it.
func places() map[string][]string {
	all := map[string][]string{}
	var walk func(t reflect.Type, path string)
	walk = func(t reflect.Type, path string) {
		for name, f := range fields(t) {
			all[name] = append(all[name], path)
			element := f.Type
			if element.Kind() == reflect.Slice || element.Kind() == reflect.Map {
				element = element.Elem()
			}
			if element.Kind() == reflect.Struct {
				walk(element, strings.TrimPrefix(path+"."+name, "."))
			}
		}
	}
	walk(reflect.TypeFor[Config](), "")
	return all
}

// placesOf returns where a field belongs that was found where it is unknown; "" if nowhere.
func placesOf(name string) string {
	paths, known := places()[name]
	var all []string
	for _, path := range paths {
		if path != "" {
			all = append(all, path)
		}
	}
	if known && len(all) == 0 {
		return "the top level"
	}
	return strings.Join(all, " or ")
}

// isField reports whether a field with this name exists anywhere in the file.
func isField(name string) bool {
	_, known := places()[name]
	return known
}

var (
	bareNumber = regexp.MustCompile(`^[0-9]+$`)
	longUnit   = regexp.MustCompile(`^([0-9]+) ?(?:(ms)|(s)(?:ec)?(?:ond)?s?|(m)in(?:ute)?s?|(h)(?:ou)?r?s?|(d)(?:ay)?s?|(w)(?:eek)?s?)$`)
)

// durationFor returns what a malformed duration of a field is probably meant to be; "" if that is not obvious.
func durationFor(field, value string) string {
	value = strings.ToLower(strings.TrimSpace(value))
	if bareNumber.MatchString(value) {
		switch field {
		case "timeout":
			return value + "s"
		case "refresh_interval":
			return value + "m"
		default:
			return value + "h"
		}
	}
	if m := longUnit.FindStringSubmatch(value); m != nil {
		return strings.Join(m[1:], "")
	}
	if d, err := time.ParseDuration(value); err == nil && d > 0 { // such as 1.5h
		return model.Duration(d).String()
	}
	return ""
}

// regionID matches what may become part of a host name.
var regionID = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// regions are those that the vendor documents for the product.
func regions() []string {
	return []string{
		"ap-southeast-1", "ap-southeast-5", "cn-beijing", "cn-hangzhou", "cn-hongkong", "cn-qingdao", "cn-shanghai", "cn-shenzhen",
		"cn-wulanchabu", "cn-zhangjiakou", "eu-central-1", "us-east-1", "us-west-1",
	}
}
