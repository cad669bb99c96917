#!/usr/bin/env bash
# Installs the Helm chart and the manifests on the cluster of run.sh as their READMEs say, upgrades them, breaks them, repairs them, rolls
# back and removes them. The objects of the Prometheus operator are checked by its own definitions. helm test is not: it runs a container.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."

readonly chart=deploy/helm/starrocks-backup-exporter name=starrocks-backup-exporter helm_namespace=backup-exporter
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

step() { echo "== $* (${SECONDS} s)"; }

fail() {
	echo "kubernetes-test: $*" >&2
	kubectl get all -A >&2
	exit 1
}

# Tries until it works. On an idle machine everything takes seconds; the limits are for busy ones.
eventually() {
	local deadline=$((SECONDS + 300))
	until "$@"; do
		((SECONDS < deadline)) || fail "not within five minutes: $*"
		sleep 1
	done
}

pods() { kubectl -n "$1" get pods -o name | sort; } # namespace
ready() { kubectl -n "$1" get pods -o jsonpath='{.items[*].status.conditions[?(@.type=="Ready")].status}'; } # namespace
is() { [[ $("${@:2}") == "$1" ]]; }                                                                      # want command...
nothing() { [[ -z $("$@") ]]; }
# Helm writes a line for each link in the chart, at each use.
helm() { { command helm "$@" 2>&1 >&3 | sed '/found symbolic link/d' >&2; } 3>&1; }
release() { helm -n "$helm_namespace" "$@"; }
# Shorter than in earnest: kubelet.sh makes pods ready at once.
install() { release upgrade --install "$name" "$chart" --set minReadySeconds=1 --atomic --timeout 5m "$@" >/dev/null; }

operator=$(go -C deploy/kubernetes/check list -m -f '{{.Dir}}' github.com/prometheus-operator/prometheus-operator)
for kind in servicemonitors prometheusrules; do
	kubectl create -f "$operator/example/prometheus-operator-crd/monitoring.coreos.com_$kind.yaml" >/dev/null
done
kubectl wait --for=condition=Established crd --all >/dev/null

cat >"$work/good.yaml" <<-YAML
	config: {discovery: [{region_id: cn-hangzhou}]}
	serviceAccount: {annotations: {pod-identity.alibabacloud.com/role-name: backup-reader}}
	serviceMonitor: {enabled: true, labels: {release: kube-prometheus-stack}}
	prometheusRule: {enabled: true, labels: {release: kube-prometheus-stack}}
	dashboards: {enabled: true}
	networkPolicy: {enabled: true}
	podDisruptionBudget: {enabled: true}
YAML
echo 'config: {discovery: [{region_id: cn-hangzhou, oops: 1}]}' >"$work/bad.yaml"
kubectl create namespace "$helm_namespace" >/dev/null
kubectl label namespace "$helm_namespace" pod-security.kubernetes.io/enforce=restricted >/dev/null

step 'chart: install'
install -f "$work/good.yaml"
is True ready "$helm_namespace" || fail 'the pod is not ready'
for kind in deployment service serviceaccount networkpolicy poddisruptionbudget servicemonitor prometheusrule; do
	kubectl -n "$helm_namespace" get "$kind" "$name" >/dev/null
done
[[ $(kubectl -n "$helm_namespace" get configmap -l grafana_dashboard=1 -o name | wc -l) == 2 ]] || fail 'not two dashboards'
eventually is 1 kubectl -n "$helm_namespace" get poddisruptionbudget "$name" -o jsonpath='{.status.currentHealthy}'
groups=$(kubectl -n "$helm_namespace" get prometheusrule "$name" -o json | jq '.spec.groups | length')
((groups == $(grep -c '^  - name: ' alerts/rules.yml))) || fail "$groups groups of rules"

step 'chart: upgrade with a new configuration'
before=$(pods "$helm_namespace")
install -f "$work/good.yaml" --set 'config.discovery[0].region_id=cn-shanghai'
eventually is True ready "$helm_namespace"
[[ $(pods "$helm_namespace") != "$before" ]] || fail 'the pod was not replaced'

step 'chart: a configuration that the exporter refuses: the old pod stays, and --atomic rolls back'
before=$(pods "$helm_namespace")
if install -f "$work/good.yaml" -f "$work/bad.yaml" --timeout 15s 2>"$work/refused"; then fail 'it was taken'; fi
grep -q 'deadline exceeded' "$work/refused" || fail "$(cat "$work/refused")"
eventually is "$before" pods "$helm_namespace"
kubectl -n "$helm_namespace" get configmap "$name" -o yaml | grep -q cn-shanghai || fail 'the configuration was not rolled back'

step 'chart: helm rollback'
release rollback "$name" 1 --wait --timeout 5m >/dev/null
kubectl -n "$helm_namespace" get configmap "$name" -o yaml | grep -q cn-hangzhou || fail 'the configuration was not rolled back'

step 'chart: four shards'
install -f "$work/good.yaml" --set shards=4
is 'True True True True' ready "$helm_namespace" || fail 'not four ready pods'
nothing kubectl -n "$helm_namespace" get deployment -o name || fail 'the Deployment is still there'

step 'chart: a bad configuration breaks one shard, and a good one heals it'
release upgrade "$name" "$chart" --set minReadySeconds=1 -f "$work/good.yaml" -f "$work/bad.yaml" --set shards=4 >/dev/null
eventually is 'True True True False' ready "$helm_namespace"
install -f "$work/good.yaml" --set shards=4
eventually is 'True True True True' ready "$helm_namespace"

step 'chart: from four shards to five, to three, and back to one'
install -f "$work/good.yaml" --set shards=5
eventually is 'True True True True True' ready "$helm_namespace"
kubectl -n "$helm_namespace" get pods -o jsonpath='{.items[*].spec.containers[0].args}' | grep -q 'total-shards=4' && fail 'a pod has four shards'
install -f "$work/good.yaml" --set shards=3
eventually is 'True True True' ready "$helm_namespace"
kubectl -n "$helm_namespace" get pods -o jsonpath='{.items[*].spec.containers[0].args}' | grep -q 'total-shards=5' && fail 'a pod has five shards'
install -f "$work/good.yaml"
eventually is True ready "$helm_namespace"

step 'chart: the API server takes what the values of the tests make'
for values in "$chart"/ci/*.yaml; do
	helm -n default template "$name" "$chart" --kube-version=1.37 -f "$values" | kubectl -n default apply --server-side --dry-run=server -f - >/dev/null
done

step 'chart: uninstall'
release uninstall "$name" --wait >/dev/null
eventually nothing kubectl -n "$helm_namespace" get all,configmap,serviceaccount,networkpolicy,poddisruptionbudget,servicemonitor,prometheusrule \
	-l app.kubernetes.io/instance="$name" -o name

# An overlay beside the manifests, as their README has it.
overlay() { # configuration
	mkdir -p "$work/overlay"
	ln -sfn "$PWD" "$work/starrocks_backup_exporter"
	echo "$1" >"$work/overlay/starrocks_backup_exporter.yml"
	cat >"$work/overlay/kustomization.yaml" <<-YAML
		apiVersion: kustomize.config.k8s.io/v1beta1
		kind: Kustomization
		namespace: $name
		resources: [../starrocks_backup_exporter/deploy/kubernetes]
		components: [$components]
		configMapGenerator:
		  - {name: $name, behavior: replace, files: [starrocks_backup_exporter.yml]}
		patches:
		  - target: {kind: Deployment|StatefulSet}
		    patch: |
		      - {op: replace, path: /spec/minReadySeconds, value: 1}
	YAML
	kubectl apply --server-side -k "$work/overlay" >/dev/null
}
good='discovery: [{region_id: cn-hangzhou}]' bad='discovery: [{region_id: cn-hangzhou, oops: 1}]' components=''

step 'manifests: apply'
kubectl apply --server-side -k deploy/kubernetes >/dev/null
eventually is True ready "$name"

step 'manifests: a new configuration rolls the pod'
before=$(pods "$name")
overlay 'discovery: [{region_id: cn-shanghai}]'
kubectl -n "$name" rollout status deployment/"$name" --timeout=5m >/dev/null
eventually is True ready "$name"
[[ $(pods "$name") != "$before" ]] || fail 'the pod was not replaced'

step 'manifests: a bad configuration keeps the old pod; kubectl rollout undo'
before=$(pods "$name")
overlay "$bad"
if kubectl -n "$name" rollout status deployment/"$name" --timeout=10s >/dev/null 2>&1; then fail 'it was taken'; fi
pods "$name" | grep -qxF "$before" || fail 'the old pod is gone'
kubectl -n "$name" rollout undo deployment/"$name" >/dev/null
eventually is "$before" pods "$name"

step 'manifests: shards, a bad configuration and its repair'
components=../starrocks_backup_exporter/deploy/kubernetes/shards
overlay "$good"
kubectl -n "$name" delete deployment "$name" >/dev/null
eventually is 'True True True True' ready "$name"
overlay "$bad"
eventually is 'True True True False' ready "$name"
overlay "$good"
kubectl -n "$name" rollout status statefulset/"$name" --timeout=5m >/dev/null
eventually is 'True True True True' ready "$name"

step 'manifests: delete'
kubectl delete -k "$work/overlay" >/dev/null
eventually nothing kubectl get namespace "$name" --ignore-not-found -o name
echo "kubernetes-test: passed (${SECONDS} s)"
