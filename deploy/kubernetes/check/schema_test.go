package check

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	_ "github.com/prometheus-operator/prometheus-operator/pkg/versionutil" // keeps the module, whose files hold the schemas of its kinds
	"github.com/santhosh-tekuri/jsonschema/v6"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	"sigs.k8s.io/kustomize/kyaml/openapi"
	"sigs.k8s.io/yaml"
)

const kubernetes = "schema://check/kubernetes.json"

// types know every field of Kubernetes' own kinds today. The schemas that come with kustomize are older, but say what must be there.
var types = map[string]any{
	"v1 ConfigMap": core.ConfigMap{}, "v1 Namespace": core.Namespace{}, "v1 Service": core.Service{},
	"v1 Pod": core.Pod{}, "v1 ServiceAccount": core.ServiceAccount{},
	"apps/v1 Deployment": apps.Deployment{}, "apps/v1 StatefulSet": apps.StatefulSet{},
	"networking.k8s.io/v1 NetworkPolicy": networking.NetworkPolicy{},
	"policy/v1 PodDisruptionBudget":      policy.PodDisruptionBudget{},
}

// validator holds an object against the type and the schema of its kind.
func validator(t *testing.T) func(object map[string]any) error {
	t.Helper()
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft4)
	places := addKubernetes(t, compiler)
	maps.Copy(places, addOperator(t, compiler))
	return func(object map[string]any) error {
		kind := fmt.Sprint(object["apiVersion"], " ", object["kind"])
		if places[kind] == "" {
			return fmt.Errorf("no schema of %s", kind)
		}
		schema, err := compiler.Compile(places[kind])
		if err == nil {
			err = schema.Validate(object)
		}
		known, ok := types[kind]
		if err != nil || !ok {
			return err
		}
		text, err := json.Marshal(object)
		if err == nil {
			err = yaml.UnmarshalStrict(text, reflect.New(reflect.TypeOf(known)).Interface())
		}
		return err
	}
}

// addKubernetes adds the schemas of Kubernetes and says where which is.
func addKubernetes(t *testing.T, compiler *jsonschema.Compiler) map[string]string {
	t.Helper()
	document := plain(t, openapi.Schema())
	all := document["definitions"].(map[string]any)
	all["io.k8s.apimachinery.pkg.util.intstr.IntOrString"] = map[string]any{"type": []any{"integer", "string"}} // by its format only
	if err := compiler.AddResource(kubernetes, document); err != nil {
		t.Fatal(err)
	}
	places := map[string]string{}
	for definition, of := range all {
		kinds, _ := of.(map[string]any)["x-kubernetes-group-version-kind"].([]any)
		for _, k := range kinds {
			kind := k.(map[string]any)
			version := strings.TrimPrefix(fmt.Sprintf("%v/%v", kind["group"], kind["version"]), "/")
			places[fmt.Sprint(version, " ", kind["kind"])] = kubernetes + "#/definitions/" + definition
		}
	}
	return places
}

// addOperator does the same with the Prometheus operator's, which refuse the fields that they do not name.
func addOperator(t *testing.T, compiler *jsonschema.Compiler) map[string]string {
	t.Helper()
	places := map[string]string{}
	for _, d := range definitions(t) {
		for _, v := range d.Spec.Versions {
			schema := v.Schema.OpenAPIV3Schema
			schema["properties"].(map[string]any)["metadata"] = map[string]any{"$ref": kubernetes +
				"#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"}
			refuseUnknown(schema)
			place := "schema://check/" + d.Spec.Names.Kind + ".json"
			if err := compiler.AddResource(place, schema); err != nil {
				t.Fatal(err)
			}
			places[fmt.Sprintf("%s/%s %s", d.Spec.Group, v.Name, d.Spec.Names.Kind)] = place
		}
	}
	return places
}

func refuseUnknown(node any) {
	schema, ok := node.(map[string]any)
	if !ok {
		return
	}
	properties, named := schema["properties"].(map[string]any)
	if named && schema["x-kubernetes-preserve-unknown-fields"] == nil {
		schema["additionalProperties"] = false
	}
	for _, child := range properties {
		refuseUnknown(child)
	}
	refuseUnknown(schema["items"])
	refuseUnknown(schema["additionalProperties"])
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
	directory, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}",
		"github.com/prometheus-operator/prometheus-operator").Output()
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
	validate := validator(t)
	for _, o := range all {
		if err := validate(plain(t, o)); err != nil {
			t.Errorf("%s %s: %v", o.GetKind(), o.GetName(), err)
		}
	}
}

// A check that accepts everything would go unseen.
func TestSchemasRefuse(t *testing.T) {
	validate := validator(t)
	for _, test := range []struct{ kind, good, bad string }{
		{"apiVersion: v1, kind: ConfigMap", `data: {a: b}`, `data: {a: 1}`},
		{"apiVersion: v1, kind: Service", `spec: {ports: [{port: 1, targetPort: 1}]}`, `spec: {ports: [{port: 1, target: 1}]}`},
		{"apiVersion: v1, kind: ServiceAccount", `metadata: {name: a}`, `metadata: {nam: a}`},
		{
			"apiVersion: apps/v1, kind: Deployment", `spec: {selector: {}, template: {spec: {containers: [{name: a}]}}}`,
			`spec: {selector: {}, template: {spec: {containers: [{image: a}]}}}`,
		},
		{
			"apiVersion: apps/v1, kind: StatefulSet", `spec: {selector: {}, template: {}, serviceName: a, minReadySeconds: 1}`,
			`spec: {selector: {}, template: {}, serviceName: a, strategy: {}}`,
		},
		{"apiVersion: v1, kind: Pod", `spec: {containers: [{name: a}]}`, `spec: {containers: [{name: a, arguments: []}]}`},
		{"apiVersion: policy/v1, kind: PodDisruptionBudget", `spec: {maxUnavailable: 1}`, `spec: {maxUnready: 1}`},
		{"apiVersion: networking.k8s.io/v1, kind: NetworkPolicy", `spec: {podSelector: {}}`, `spec: {}`},
		{
			"apiVersion: monitoring.coreos.com/v1, kind: ServiceMonitor", `spec: {selector: {}, endpoints: [{interval: 1m}]}`,
			`spec: {selector: {}, endpoints: [{interval: often}]}`,
		},
		{
			"apiVersion: monitoring.coreos.com/v1, kind: ServiceMonitor", `spec: {selector: {}, endpoints: []}`,
			`spec: {selector: {}, endpoints: [{scrape_timeout: 1m}]}`,
		},
		{
			"apiVersion: monitoring.coreos.com/v1, kind: PrometheusRule", `spec: {groups: [{name: a, rules: [{alert: b, expr: 1}]}]}`,
			`spec: {groups: [{name: a, rules: [{alert: b}]}]}`,
		},
	} {
		for text, good := range map[string]bool{test.good: true, test.bad: false} {
			var o map[string]any
			if err := yaml.Unmarshal([]byte("{"+test.kind+", "+text+"}"), &o); err != nil {
				t.Fatal(err)
			}
			if err := validate(o); (err == nil) != good {
				t.Errorf("%s, %s: %v", test.kind, text, err)
			}
		}
	}
}
