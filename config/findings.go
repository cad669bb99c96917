package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// findings is what is wrong, and what is probably wrong, in a file.
type findings struct {
	file     string
	lines    map[string]int  // of every field, by its path
	broken   map[string]bool // paths whose value could not be decoded; what depends on it is not checked
	mistakes []finding
	doubts   []finding
}

// finding is something wrong, or probably wrong, in a line of the file.
type finding struct {
	line int
	text string
}

// mistake notes that the value at a path cannot be used.
func (f *findings) mistake(line int, path, format string, args ...any) {
	f.broken[path] = true
	f.mistakes = append(f.mistakes, newFinding(line, path, format, args...))
}

// fail notes that a decoded value is wrong, unless it is a consequence of another mistake.
func (f *findings) fail(path, format string, args ...any) {
	if !f.isBroken(path) {
		f.mistakes = append(f.mistakes, newFinding(f.lineOf(path), path, format, args...))
	}
}

// warn notes that a value is probably wrong.
func (f *findings) warn(path, format string, args ...any) {
	if !f.isBroken(path) {
		f.doubts = append(f.doubts, newFinding(f.lineOf(path), path, format, args...))
	}
}

func newFinding(line int, path, format string, args ...any) finding {
	text := fmt.Sprintf(format, args...)
	if path != "" {
		text = path + ": " + text
	}
	return finding{line, text}
}

// lineOf returns the line of the field of a path, or of the nearest field around it that the file contains.
func (f *findings) lineOf(path string) int {
	for p := path; ; p = around(p) {
		if line := f.lines[p]; line > 0 || p == "" {
			return max(line, 1)
		}
	}
}

// around returns the path of what a path is part of; "" is the whole file.
func around(path string) string { return path[:max(0, strings.LastIndexAny(path, ".["))] }

// isBroken reports whether a path, or what it is part of, could not be decoded.
func (f *findings) isBroken(path string) bool {
	for p := path; ; p = around(p) {
		if f.broken[p] || p == "" {
			return f.broken[p]
		}
	}
}

// breaksIn reports whether a path or a part of it could not be decoded.
func (f *findings) breaksIn(path string) bool {
	for p := range f.broken {
		if rest, ok := strings.CutPrefix(p, path); ok && (rest == "" || rest[0] == '.' || rest[0] == '[') {
			return true
		}
	}
	return f.isBroken(path)
}

// err returns the mistakes in the order of the file, one per line; nil if there are none.
func (f *findings) err() error {
	var all []error
	for _, one := range inOrder(f.mistakes) {
		all = append(all, fmt.Errorf("%s:%d: %s", f.file, one.line, one.text))
	}
	return errors.Join(all...)
}

// warnings returns what is probably wrong, in the order of the file.
func (f *findings) warnings() (all []string) {
	for _, one := range inOrder(f.doubts) {
		all = append(all, fmt.Sprintf("%s:%d: %s", f.file, one.line, one.text))
	}
	return all
}

func inOrder(all []finding) []finding {
	return slices.SortedStableFunc(slices.Values(all), func(a, b finding) int { return cmp.Compare(a.line, b.line) })
}
