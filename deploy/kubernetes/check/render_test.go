// Package check renders the manifests as kubectl does and holds every object against the schema of its kind, and them all
// against each other and the exporter.
package check

import (
	"testing"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

const (
	base = ".."
	name = "starrocks-backup-exporter"
)

// objects are what a directory renders to.
type objects []*resource.Resource

func render(t *testing.T, directory string) objects {
	t.Helper()
	rendered, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), directory)
	if err != nil {
		t.Fatal(err)
	}
	return rendered.Resources()
}

// only reads the one object of a kind. Fields that the type does not have fail.
func only[T any](t *testing.T, all objects, kind string) T {
	t.Helper()
	var found []T
	for _, o := range all {
		if o.GetKind() == kind {
			found = append(found, as[T](t, o))
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d objects are a %s", len(found), kind)
	}
	return found[0]
}

func as[T any](t *testing.T, o *resource.Resource) T {
	t.Helper()
	var value T
	text, err := o.AsYAML()
	if err == nil {
		err = yaml.UnmarshalStrict(text, &value)
	}
	if err != nil {
		t.Fatalf("%s %s: %v", o.GetKind(), o.GetName(), err)
	}
	return value
}
