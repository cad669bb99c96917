#!/usr/bin/env bash
# Runs the stack of compose.yml without containers, with the locally installed Prometheus, Alertmanager and, if present,
# Grafana. It stops on an interrupt, or when one of them exits.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

data=$(mktemp -d)
stop() {
	kill $(jobs -p) 2>/dev/null || true
	wait
	rm -rf "$data"
}
trap stop EXIT
trap 'exit 0' INT TERM

alertmanager=$(command -v prometheus-alertmanager || command -v alertmanager || true)
if [[ -z $alertmanager ]] || ! command -v prometheus >/dev/null; then
	echo 'demo-stack: Prometheus or Alertmanager is not installed; run make tools' >&2
	exit 1
fi
./starrocks_backup_exporter --demo &
prometheus --config.file=deploy/prometheus.yml --storage.tsdb.path="$data/prometheus" --web.listen-address=localhost:9090 \
	--web.external-url=http://localhost:9090/ &
"$alertmanager" --config.file=deploy/alertmanager.yml --storage.path="$data/alertmanager" --cluster.listen-address= \
	--web.listen-address=localhost:9093 --web.external-url=http://localhost:9093/ &
if command -v grafana >/dev/null; then
	mkdir -p "$data"/provisioning/{datasources,dashboards}
	cp dashboards/provisioning/datasources.yml "$data/provisioning/datasources"
	sed "s|/var/lib/grafana/.*|$PWD/dashboards|" dashboards/provisioning/dashboards.yml >"$data/provisioning/dashboards/dashboards.yml"
	GF_PATHS_PROVISIONING=$data/provisioning GF_PATHS_DATA=$data/grafana GF_AUTH_ANONYMOUS_ENABLED=true \
		grafana server --homepath "${GRAFANA_HOME:-/usr/share/grafana}" &
	echo 'Grafana: http://localhost:3000/d/starrocks-backup-fleet'
else
	echo 'Grafana is not installed. After three minutes, make draw in another terminal draws the dashboard into dist/fleet.png.'
fi
# Debian builds Alertmanager without pages, and Prometheus with its alerts at another address.
echo 'The exporter: http://localhost:10980/  Prometheus: http://localhost:9090/'
echo 'What fires: amtool --alertmanager.url=http://localhost:9093 alert query'
wait -n
