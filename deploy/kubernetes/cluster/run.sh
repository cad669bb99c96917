#!/usr/bin/env bash
# Runs a command with a new Kubernetes cluster on loopback: etcd, the API server and its controllers, and kubelet.sh, which plays nodes.
#   run.sh COMMAND...   such as bash, to try things by hand with kubectl and helm
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
export PATH=$PWD/.tools/kubernetes:$PWD/.tools/bin:$PATH

readonly api=16443 etcd=12379 peers=12380 logs=$PWD/.logs
work=$(mktemp -d)
mkdir -p "$logs"
stop() {
	# Asked to end, the API server would wait for etcd.
	{ kill -KILL $(jobs -p) && wait; } 2>/dev/null || true
	rm -rf "$work"
}
trap stop EXIT
trap 'exit 1' INT TERM

export KUBECONFIG=$work/kubeconfig
# HELM_CACHE_HOME and others: nothing of the user's Helm is read or written.
export HELM_CACHE_HOME=$work/helm/cache HELM_CONFIG_HOME=$work/helm/config HELM_DATA_HOME=$work/helm/data
token=$(openssl rand -hex 16)
echo "$token,admin,admin,system:masters" >"$work/tokens"
openssl genrsa -out "$work/key" 2048 2>/dev/null
cat >"$KUBECONFIG" <<-YAML
	apiVersion: v1
	kind: Config
	clusters: [{name: test, cluster: {server: "https://localhost:$api", certificate-authority: $work/apiserver.crt, tls-server-name: kubernetes}}]
	users: [{name: admin, user: {token: $token}}]
	contexts: [{name: test, context: {cluster: test, user: admin}}]
	current-context: test
YAML

etcd --data-dir="$work/etcd" --unsafe-no-fsync --listen-client-urls="http://127.0.0.1:$etcd" --advertise-client-urls="http://127.0.0.1:$etcd" \
	--listen-peer-urls="http://127.0.0.1:$peers" --initial-advertise-peer-urls="http://127.0.0.1:$peers" \
	--initial-cluster="default=http://127.0.0.1:$peers" >"$logs/etcd.log" 2>&1 &
kube-apiserver --etcd-servers="http://127.0.0.1:$etcd" --bind-address=127.0.0.1 --secure-port="$api" --cert-dir="$work" \
	--endpoint-reconciler-type=none --authorization-mode=RBAC --token-auth-file="$work/tokens" \
	--service-cluster-ip-range=10.0.0.0/24 --service-account-issuer=https://localhost --service-account-key-file="$work/key" \
	--service-account-signing-key-file="$work/key" >"$logs/kube-apiserver.log" 2>&1 &
until kubectl get --raw=/readyz >/dev/null 2>&1; do
	if (($(jobs -r | wc -l) < 2)); then
		tail -n 5 "$logs/etcd.log" "$logs/kube-apiserver.log" >&2
		exit 1
	fi
	sleep 1
done
kube-controller-manager --kubeconfig="$KUBECONFIG" --leader-elect=false --secure-port=0 --service-account-private-key-file="$work/key" \
	>"$logs/kube-controller-manager.log" 2>&1 &
until kubectl -n default get serviceaccount default >/dev/null 2>&1; do sleep 1; done
TMPDIR=$work deploy/kubernetes/cluster/kubelet.sh >"$logs/kubelet.log" 2>&1 &

"$@"
