package check

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/prometheus-operator/prometheus-operator/pkg/versionutil" // keeps the module, whose files hold the schemas of its kinds
	"github.com/santhosh-tekuri/jsonschema/v6"
	"sigs.k8s.io/kustomize/kyaml/openapi"
	"sigs.k8s.io/yaml"
)

const kubernetes = "schema://check/kubernetes.json"

// schemas finds the schema of an apiVersion and kind: Kubernetes' own as kustomize knows them, and those of the operator's kinds.
func schemas(t *testing.T) func(kind string) (*jsonschema.Schema, error) {
	t.Helper()
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft4)
	add := func(place string, document map[string]any) {
		strict(document)
		if err := compiler.AddResource(place, document); err != nil {
			t.Fatal(err)
		}
	}
	places := map[string]string{}

	document := plain(t, openapi.Schema())
	for definition, of := range document["definitions"].(map[string]any) {
		kinds, _ := of.(map[string]any)["x-kubernetes-group-version-kind"].([]any)
		for _, k := range kinds {
			kind := k.(map[string]any)
			version := strings.TrimPrefix(fmt.Sprintf("%v/%v", kind["group"], kind["version"]), "/")
			places[fmt.Sprint(version, " ", kind["kind"])] = kubernetes + "#/definitions/" + definition
		}
	}
	add(kubernetes, document)

	for _, d := range definitions(t) {
		for _, v := range d.Spec.Versions {
			schema := v.Schema.OpenAPIV3Schema
			schema["properties"].(map[string]any)["metadata"] = map[string]any{"$ref": kubernetes + "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"}
			place := "schema://check/" + d.Spec.Names.Kind + ".json"
			places[fmt.Sprintf("%s/%s %s", d.Spec.Group, v.Name, d.Spec.Names.Kind)] = place
			add(place, schema)
		}
	}
	return func(kind string) (*jsonschema.Schema, error) {
		if places[kind] == "" {
			return nil, fmt.Errorf("no schema of %s", kind)
		}
		return compiler.Compile(places[kind])
	}
}

// strict makes schemas refuse the fields that they do not name, as kubectl does.
func strict(node any) {
	schema, ok := node.(map[string]any)
	if !ok {
		return
	}
	if schema["format"] == "int-or-string" {
		schema["type"] = []any{"integer", "string"}
	}
	properties, named := schema["properties"].(map[string]any)
	if named && schema["additionalProperties"] == nil && schema["x-kubernetes-preserve-unknown-fields"] == nil {
		schema["additionalProperties"] = false
	}
	definitions, _ := schema["definitions"].(map[string]any)
	for _, children := range []map[string]any{properties, definitions} {
		for _, child := range children {
			strict(child)
		}
	}
	strict(schema["items"])
	strict(schema["additionalProperties"])
}

type definition struct {
	Spec struct {
		Group    string
		Names    struct{ Kind string }
		Versions []struct {
			Name   string
			Schema struct{ OpenAPIV3Schema map[string]any }
		}
	}
}

// definitions are the kinds of the operator that are used.
func definitions(t *testing.T) []definition {
	t.Helper()
	directory, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/prometheus-operator/prometheus-operator").Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []definition
	for _, kind := range []string{"servicemonitors", "prometheusrules"} {
		file := filepath.Join(strings.TrimSpace(string(directory)), "example/prometheus-operator-crd/monitoring.coreos.com_"+kind+".yaml")
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var d definition
		if err := yaml.Unmarshal(text, &d); err != nil {
			t.Fatal(err)
		}
		all = append(all, d)
	}
	return all
}

// plain is a value as JSON has it.
func plain(t *testing.T, value any) map[string]any {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	var object map[string]any
	if err := json.Unmarshal(text, &object); err != nil {
		t.Fatal(err)
	}
	return object
}

func checkSchemas(t *testing.T, all objects) {
	t.Helper()
	schemaOf := schemas(t)
	for _, o := range all {
		schema, err := schemaOf(o.GetApiVersion() + " " + o.GetKind())
		if err == nil {
			err = schema.Validate(plain(t, o))
		}
		if err != nil {
			t.Errorf("%s %s: %v", o.GetKind(), o.GetName(), err)
		}
	}
}

// A check that accepts everything would go unseen.
func TestSchemasRefuse(t *testing.T) {
	schemaOf := schemas(t)
	for kind, specs := range map[string][2]string{ // good, bad
		"apps/v1 Deployment": {
			`{selector: {}, template: {spec: {containers: [{name: a, livenessProbe: {httpGet: {port: http}}}]}}}`,
			`{selector: {}, template: {spec: {containers: [{name: a, livenessProbe: {httpGet: {port: true}}}]}}}`,
		},
		"apps/v1 StatefulSet": {
			`{selector: {}, template: {}, serviceName: a}`,
			`{selector: {}, serviceName: a}`,
		},
		"v1 Service": {
			`{ports: [{port: 1, targetPort: 1, protocol: TCP}]}`,
			`{ports: [{port: 1, targetPort: 1, prot: TCP}]}`,
		},
		"networking.k8s.io/v1 NetworkPolicy": {
			`{podSelector: {}}`,
			`{}`,
		},
		"monitoring.coreos.com/v1 ServiceMonitor": {
			`{selector: {}, endpoints: [{interval: 1m}]}`,
			`{selector: {}, endpoints: [{interval: often}]}`,
		},
		"monitoring.coreos.com/v1 PrometheusRule": {
			`{groups: [{name: a, rules: [{alert: b, expr: 1}]}]}`,
			`{groups: [{name: a, rules: [{alert: b}]}]}`,
		},
	} {
		schema, err := schemaOf(kind)
		if err != nil {
			t.Fatal(err)
		}
		for n, spec := range specs {
			var o map[string]any
			if err := yaml.Unmarshal([]byte("spec: "+spec), &o); err != nil {
				t.Fatal(err)
			}
			if err := schema.Validate(o); (err == nil) != (n == 0) {
				t.Errorf("%s %s: %v", kind, spec, err)
			}
		}
	}
}
