// Package structure holds the code to the layout rules of CONTRIBUTING.md.
package structure

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// maxMethods is how many methods a type may have before it does too many things.
const maxMethods = 12

type goPackage struct {
	ImportPath, Dir, Export string
	DepOnly, Standard       bool
	GoFiles                 []string
}

// TestLayout fails if two files of a package use each other, directly or through others, or if a type has too many methods.
// Test files do not count.
func TestLayout(t *testing.T) { checkModule(t, "../..") }

func checkModule(t *testing.T, directory string) {
	t.Helper()
	for _, p := range load(t, directory) {
		t.Run(p.ImportPath, func(t *testing.T) { check(t, p.files, p.info) })
	}
}

type loaded struct {
	goPackage
	files map[string]*ast.File
	info  *types.Info
}

// load type-checks every package of a module against the compiler's export data.
func load(t *testing.T, directory string) (all []loaded) {
	t.Helper()
	cmd := exec.Command("go", "list", "-export", "-deps", "-json=ImportPath,Dir,Export,DepOnly,Standard,GoFiles", "./...")
	cmd.Dir, cmd.Stderr = directory, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list in %s: %v", directory, err)
	}
	exports := map[string]string{}
	var own []goPackage
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		exports[p.ImportPath] = p.Export
		if !p.DepOnly {
			own = append(own, p)
		}
	}
	for _, p := range own {
		all = append(all, typeCheck(t, p, exports))
	}
	return all
}

func typeCheck(t *testing.T, p goPackage, exports map[string]string) loaded {
	t.Helper()
	fset := token.NewFileSet()
	l := loaded{
		goPackage: p,
		files:     map[string]*ast.File{},
		info:      &types.Info{Defs: map[*ast.Ident]types.Object{}, Uses: map[*ast.Ident]types.Object{}},
	}
	for _, name := range p.GoFiles {
		f, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		l.files[name] = f
	}
	config := types.Config{
		Importer: importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) }),
	}
	files := slices.Collect(maps.Values(l.files))
	if _, err := config.Check(p.ImportPath, fset, files, l.info); err != nil {
		t.Fatal(err)
	}
	return l
}

func check(t *testing.T, files map[string]*ast.File, info *types.Info) {
	t.Helper()
	definedIn := map[types.Object]string{}
	methods := map[string]int{}
	for name, f := range files {
		for ident, object := range info.Defs {
			if object != nil && f.FileStart <= ident.Pos() && ident.Pos() < f.FileEnd {
				definedIn[object] = name
			}
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv != nil {
				methods[receiver(fn)]++
			}
		}
	}
	uses := map[string]map[string]string{} // from file to file, by an example
	for name, f := range files {
		uses[name] = map[string]string{}
		for ident, object := range info.Uses {
			if in := definedIn[origin(object)]; in != "" && in != name && f.FileStart <= ident.Pos() && ident.Pos() < f.FileEnd {
				uses[name][in] = ident.Name
			}
		}
	}
	for typeName, n := range methods {
		if n > maxMethods {
			t.Errorf("type %s has %d methods, more than %d", typeName, n, maxMethods)
		}
	}
	for _, circle := range circles(uses) {
		t.Errorf("files use each other: %s", circle)
	}
}

// origin is the declaration behind an instance of something generic.
func origin(object types.Object) types.Object {
	switch o := object.(type) {
	case *types.Func:
		return o.Origin()
	case *types.Var:
		return o.Origin()
	default:
		return object
	}
}

func receiver(fn *ast.FuncDecl) string {
	e := fn.Recv.List[0].Type
	for {
		switch x := e.(type) {
		case *ast.StarExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.IndexListExpr:
			e = x.X
		case *ast.Ident:
			return x.Name
		default:
			return "?"
		}
	}
}

// circles returns, for each edge that lies on a circle, that edge and the shortest way back.
func circles(uses map[string]map[string]string) (all []string) {
	for _, from := range slices.Sorted(maps.Keys(uses)) {
		for _, to := range slices.Sorted(maps.Keys(uses[from])) {
			if back := path(uses, to, from); back != nil && from <= slices.Min(back) {
				text := from
				for i, next := 0, append([]string{to}, back...); i < len(next); i++ {
					previous := from
					if i > 0 {
						previous = next[i-1]
					}
					text += fmt.Sprintf(" -%s-> %s", uses[previous][next[i]], next[i])
				}
				all = append(all, text)
			}
		}
	}
	return all
}

// path is the shortest way between two files, without its beginning; nil where there is none.
func path(uses map[string]map[string]string, from, to string) []string {
	before := map[string]string{from: from}
	for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
		for _, next := range slices.Sorted(maps.Keys(uses[queue[0]])) {
			if _, seen := before[next]; !seen {
				before[next] = queue[0]
				queue = append(queue, next)
			}
		}
	}
	if _, reached := before[to]; !reached {
		return nil
	}
	var steps []string
	for at := to; at != from; at = before[at] {
		steps = append([]string{at}, steps...)
	}
	return steps
}
