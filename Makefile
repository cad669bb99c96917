# Everything a developer and CI run. What the targets need is installed by scripts/install-tools.sh.

SHELL       := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := build

GO       ?= go
BINARY   := starrocks_backup_exporter
DRILL    := alerts/drill
MODULES  := $(DRILL) dashboards deploy/kubernetes/check# separate modules: they need Prometheus and the schemas of Grafana and Kubernetes
CHART    := deploy/helm/starrocks-backup-exporter
TOOLS    := $(CURDIR)/.tools/bin
FUZZTIME ?= 5000x

include IDENTITY

# Stamped into the binary: shown by --version and by the metric exporter_build_info.
VERSION    ?= $(shell scripts/version.sh)
REVISION   ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
BRANCH     ?= $(shell scripts/branch.sh)
BUILD_USER ?= $(shell id -un)@$(shell uname -n)
# SOURCE_DATE_EPOCH makes builds repeatable.
BUILD_DATE ?= $(shell date -u $${SOURCE_DATE_EPOCH:+-d @$$SOURCE_DATE_EPOCH} +%Y%m%d-%H:%M:%S)
CREATED     = $(shell date -u $${SOURCE_DATE_EPOCH:+-d @$$SOURCE_DATE_EPOCH} +%Y-%m-%dT%H:%M:%SZ)

STAMP   := github.com/prometheus/common/version
LDFLAGS  = -s -w \
	-X $(STAMP).Version=$(VERSION) \
	-X $(STAMP).Revision=$(REVISION) \
	-X $(STAMP).Branch=$(BRANCH) \
	-X $(STAMP).BuildUser=$(BUILD_USER) \
	-X $(STAMP).BuildDate=$(BUILD_DATE)

.PHONY: build test test-heavy race lint fuzz soak bench bench-guard bench-rules drill verify-recording dashboards rules chart kubernetes-test demo-stack draw image image-args release check-release notice identity fmt clean tools lint-tools

build:
	CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)' -o $(BINARY) .

# The tests tagged system run promtool, Prometheus, Alertmanager, Chromium, buildah and systemd: a missing one fails. Those of the last two need root.
test: tools
	scripts/test.sh $(MODULES)

# The heaviest of them, which make test leaves out.
test-heavy: tools
	scripts/test.sh heavy

race:
	CGO_ENABLED=1 $(GO) test -race ./...

lint: lint-tools
	$(TOOLS)/golangci-lint run ./...
	for module in $(MODULES); do (cd $$module && $(TOOLS)/golangci-lint run ./...); done
	@diff=$$($(TOOLS)/gofumpt -d .); \
	if [[ -n $$diff ]]; then printf '%s\n' "$$diff"; echo 'not formatted: run make fmt' >&2; exit 1; fi
	$(TOOLS)/actionlint
	@$(TOOLS)/helm-docs --dry-run --log-level=warning --chart-search-root=$(CHART) | diff $(CHART)/README.md - || \
		{ echo 'not up to date: run make chart' >&2; exit 1; }
	@status=0; output=$$(timeout 300 $(TOOLS)/govulncheck ./... 2>&1) || status=$$?; \
	if ((status == 124)) || [[ $$status == 1 && $$output == *'fetching vulnerabilities:'* ]]; then \
		echo 'govulncheck: its database was not reachable: NOT checked'; \
	else printf '%s\n' "$$output"; exit $$status; fi

# Every fuzz target of every package, one after the other. FUZZTIME is a number of inputs: with a duration, Go below 1.27 may report
# its own deadline as a failure (golang/go#75804). Minimization gets few tries: where an input is slow, such as a scrape, it
# would take most of the time.
fuzz:
	@found=0; \
	for package in $$($(GO) list ./...); do \
		listed=$$($(GO) test -list '^Fuzz' "$$package"); \
		for target in $$(grep '^Fuzz' <<<"$$listed" || true); do \
			found=$$((found + 1)); \
			echo "fuzz $$package $$target: $(FUZZTIME)"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x "$$package"; \
		done; \
	done; \
	if ((found == 0)); then echo 'no fuzz target found' >&2; exit 1; fi

# 100,000 scrapes with random faults, in eight worlds side by side; they mostly wait.
SOAK ?= 100000
soak:
	$(GO) test -c -o .tools/soak.test ./collector
	cd collector; worlds=(); for seed in {1..8}; do \
		SOAK_SEED=$$seed SOAK_SCRAPES=$$(($(SOAK) / 8)) ../.tools/soak.test -test.run '^TestSoak$$' -test.v -test.timeout 24h & worlds+=($$!); \
	done; status=0; for world in "$${worlds[@]}"; do wait "$$world" || status=1; done; exit $$status

bench:
	$(GO) test -run '^$$' -bench . -benchmem -timeout 30m ./...

# Fails if a scrape of 1,000 instances costs more than the goals allow. Costs are ratios to the floor measured in the same run.
bench-guard:
	$(GO) test -run '^$$' -bench 'Guard$$' -benchtime 1x -timeout 20m ./test

# The figures of alerts/README.md. DRILL_FLAGS changes seeds and sizes: see alerts/drill --help.
drill: export GOGC = 400
drill:
	cd $(DRILL) && $(GO) build -o ../../.tools/drill .
	cd $(DRILL) && ../../.tools/drill score $(DRILL_FLAGS)
	cd $(DRILL) && ../../.tools/drill mutate --setting=4m-evaluated-4m --instances=24 --days=8 --rate=6
	cd $(DRILL) && ../../.tools/drill compare --setting=1m --seeds=2 --instances=18 --days=80

# One evaluation of the alert rules at 1,000 and 10,000 instances, as a ratio to one plain aggregation.
bench-rules:
	cd $(DRILL) && $(GO) run . bench

# Says which assumptions about the API a recording confirms or breaks: make verify-recording DIR=recording.
verify-recording:
	$(GO) run ./apiclient/recording/verify $(DIR)

# Regenerates dashboards/*.json.
dashboards:
	cd dashboards && $(GO) run .

# Regenerates alerts/rules.yml, and the same as a PrometheusRule.
rules:
	$(GO) run ./alerts >alerts/rules.yml.new
	mv alerts/rules.yml.new alerts/rules.yml
	$(GO) run ./alerts --format=kubernetes >deploy/kubernetes/prometheusrule.yaml.new
	mv deploy/kubernetes/prometheusrule.yaml.new deploy/kubernetes/prometheusrule.yaml

# Regenerates the Helm chart's README, and packages the chart in dist/: with the rules and dashboards that its files/ links to, and
# with the addresses of IDENTITY as defaults.
# Building helm takes minutes, so the tests of deploy/kubernetes/check use its libraries.
chart:
	scripts/install-tools.sh helm
	$(TOOLS)/helm-docs --log-level=warning --chart-search-root=$(CHART)
	for values in $(CHART)/ci/*.yaml; do $(TOOLS)/helm lint --strict --quiet --values="$$values" $(CHART); done
	rm -rf dist/chart && mkdir -p dist && cp -rL $(CHART) dist/chart
	sed -i -e 's,^runbookURL: .*,runbookURL: $(HOME_URL)/blob/$(REVISION)/alerts/README.md,' \
		-e 's,^  repository: .*,  repository: $(IMAGE),' dist/chart/values.yaml
	echo 'home: $(HOME_URL)' >>dist/chart/Chart.yaml
	$(TOOLS)/helm package --version=$(VERSION) --app-version=$(VERSION) --destination=dist dist/chart
	rm -r dist/chart

# Installs, upgrades, breaks and removes the chart and the manifests on Kubernetes' API server and controllers. Builds them first, which
# takes half an hour on two cores.
kubernetes-test: build
	scripts/install-tools.sh kubernetes
	deploy/kubernetes/cluster/run.sh deploy/kubernetes/cluster/test.sh

# The image for this machine. With ENGINE=docker, PLATFORMS=linux/amd64,linux/arm64 builds for others too.
ENGINE     ?= podman
PLATFORMS  ?=
IMAGE_ARGS  = VERSION=$(VERSION) REVISION=$(REVISION) BRANCH=$(BRANCH) BUILD_DATE=$(BUILD_DATE) CREATED=$(CREATED) SOURCE=$(HOME_URL)
image:
	$(ENGINE) build $(addprefix --platform=,$(PLATFORMS)) $(addprefix --build-arg=,$(IMAGE_ARGS)) --tag=$(IMAGE):$(subst +,_,$(VERSION)) .

# What the release workflow passes to the build of the image.
image-args:
	@printf '%s\n' $(IMAGE_ARGS)

# Exporter, Prometheus with the rules, Alertmanager, and Grafana where it is installed; see deploy/compose.yml for containers.
demo-stack: build
	deploy/demo-stack.sh

# Draws the fleet's dashboard from the running demo stack, for machines without Grafana.
draw: tools
	mkdir -p dist
	node dashboards/render/render.js --hours=1 --scrape=15 dashboards/fleet.json http://localhost:9090 dist/fleet.png >/dev/null
	@echo 'Drawn: dist/fleet.png'

# Archives, packages, bills of materials and their sums in dist/. See scripts/check-release.sh.
release:
	scripts/install-tools.sh release
	scripts/release.sh

check-release: release
	scripts/check-release.sh

# Regenerates NOTICE: the licenses of what is linked into the binary.
notice:
	scripts/notice.sh >NOTICE.new
	mv NOTICE.new NOTICE

# Renames the Go modules after HOME_URL in IDENTITY.
identity:
	scripts/identity.sh

fmt: lint-tools
	$(TOOLS)/gofumpt -w .

clean:
	rm -rf ./$(BINARY) dist

tools:
	scripts/install-tools.sh

lint-tools:
	scripts/install-tools.sh lint
