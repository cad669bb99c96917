#!/usr/bin/env bash
# Installs what the Makefile's targets need and is not installed yet.
#   install-tools.sh           programs the system tests run (Debian packages), Prometheus 3's promtool into .tools/bin, and Grafana's
#                              components into .tools/grafana-render
#   install-tools.sh lint      linters, built from source into .tools/bin
#   install-tools.sh helm      what packages the Helm chart, the same way
#   install-tools.sh kubernetes  the same, and Kubernetes' control plane into .tools/kubernetes: half an hour on two cores
#   install-tools.sh release   what packages a release: both kinds
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly golangci_lint=v2.15.0
readonly gofumpt=v0.12.0
readonly govulncheck=v1.9.0
readonly actionlint=v1.7.12
readonly helm=v3.22.0
readonly helm_docs=v1.14.2
readonly helm_docs_package=github.com/norwoodj/helm-docs/cmd/helm-docs
readonly nfpm=v2.45.2
readonly cyclonedx_gomod=v1.10.0

as_root() {
	if ((EUID == 0)); then "$@"; else sudo "$@"; fi
}

# Installing must not start services: invoke-rc.d asks this file, and 101 forbids it.
readonly policy=/usr/sbin/policy-rc.d
policy_set=

forbid_services() {
	if [[ -e $policy ]]; then as_root mv "$policy" "$policy.before-install-tools"; fi
	policy_set=yes
	printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
	as_root chmod 755 "$policy"
}

restore_services() {
	[[ -n $policy_set ]] || return 0
	as_root rm -f "$policy"
	if [[ -e $policy.before-install-tools ]]; then as_root mv "$policy.before-install-tools" "$policy"; fi
}

declare -rA package_of=(
	[prometheus]=prometheus
	[promtool]=prometheus
	[prometheus-alertmanager]=prometheus-alertmanager
	[amtool]=prometheus-alertmanager
	[chromium]=chromium
	[buildah]=buildah
	[systemd-analyze]=systemd
	[systemd-nspawn]=systemd-container
	[node]=nodejs
	[npm]=npm
	[jq]=jq
	[openssl]=openssl
	[zip]=zip
	[rpm]=rpm
	[lintian]=lintian
	[rpmlint]=rpmlint
)

install_programs() {
	local -A missing=()
	local program
	for program; do
		command -v "$program" >/dev/null || missing[${package_of[$program]}]=yes
	done
	((${#missing[@]} > 0)) || return 0

	if ! command -v apt-get >/dev/null; then
		echo "install-tools: missing: ${!missing[*]}; there is no apt-get here, install them by hand" >&2
		return 1
	fi
	echo "install-tools: installing ${!missing[*]}"
	trap restore_services EXIT
	forbid_services
	local -a apt=(env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3)
	as_root "${apt[@]}" update
	as_root "${apt[@]}" install --no-install-recommends "${!missing[@]}"

	for program; do
		command -v "$program" >/dev/null || { echo "install-tools: still missing: $program" >&2; return 1; }
	done
}

# Installs what dashboards/render draws with. A copy of its lock file remembers which versions.
install_grafana_components() {
	local from=dashboards/render to=.tools/grafana-render
	if cmp -s "$from/package-lock.json" "$to/installed"; then return 0; fi
	echo "install-tools: installing Grafana's components"
	mkdir -p "$to"
	cp "$from/package.json" "$from/package-lock.json" "$from/.npmrc" "$to/"
	(cd "$to" && npm ci --silent)
	cp "$from/package-lock.json" "$to/installed"
}

# go_tool NAME PACKAGE VERSION [FLAGS]: a file beside the binary remembers which version, by which Go.
go_tool() {
	local bin=$PWD/.tools/bin built
	built="$3 $(go env GOVERSION)"
	if [[ -x $bin/$1 && $(cat "$bin/.$1.version" 2>/dev/null) == "$built" ]]; then return 0; fi
	echo "install-tools: building $1 $3"
	mkdir -p "$bin"
	GOBIN=$bin GOFLAGS=${4-} go install "$2@$3"
	echo "$built" >"$bin/.$1.version"
}

# Kubernetes' control plane. The binaries would report v0.0.0 without the linker's flag, and clients compare versions.
install_kubernetes() {
	local module=deploy/kubernetes/cluster to=$PWD/.tools/kubernetes version built
	version=$(go -C "$module" list -m -f '{{.Version}}' k8s.io/kubernetes)
	built="$version $(go env GOVERSION)"
	if [[ $(cat "$to/.version" 2>/dev/null) == "$built" ]]; then return 0; fi
	echo "install-tools: building Kubernetes $version"
	mkdir -p "$to"
	(
		cd "$module"
		export GOFLAGS='' CGO_ENABLED=0
		go build -trimpath -ldflags='-s -w' -o "$to/etcd" go.etcd.io/etcd/server/v3
		go build -trimpath -ldflags="-s -w -X k8s.io/component-base/version.gitVersion=$version" -o "$to/" \
			k8s.io/kubernetes/cmd/{kube-apiserver,kube-controller-manager,kubectl}
	)
	echo "$built" >"$to/.version"
}

case ${1-} in
'') install_programs prometheus promtool prometheus-alertmanager amtool chromium \
	buildah systemd-analyze systemd-nspawn node npm jq
	go_tool promtool github.com/prometheus/prometheus/cmd/promtool \
		"$(go -C alerts/drill list -m -f '{{.Version}}' github.com/prometheus/prometheus)" -tags=remove_all_sd
	install_grafana_components ;;
lint)
	go_tool golangci-lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint "$golangci_lint"
	go_tool gofumpt mvdan.cc/gofumpt "$gofumpt"
	go_tool govulncheck golang.org/x/vuln/cmd/govulncheck "$govulncheck"
	go_tool actionlint github.com/rhysd/actionlint/cmd/actionlint "$actionlint"
	go_tool helm-docs "$helm_docs_package" "$helm_docs"
	;;
helm)
	go_tool helm helm.sh/helm/v3/cmd/helm "$helm"
	go_tool helm-docs "$helm_docs_package" "$helm_docs"
	;;
kubernetes)
	install_programs jq openssl
	go_tool helm helm.sh/helm/v3/cmd/helm "$helm"
	install_kubernetes
	;;
release)
	install_programs zip rpm lintian rpmlint systemd-nspawn
	go_tool nfpm github.com/goreleaser/nfpm/v2/cmd/nfpm "$nfpm"
	go_tool cyclonedx-gomod github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod "$cyclonedx_gomod"
	;;
*)
	echo "usage: install-tools.sh [lint|helm|kubernetes|release]" >&2
	exit 2
	;;
esac
