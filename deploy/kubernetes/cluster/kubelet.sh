#!/usr/bin/env bash
# Plays the nodes. No container runs: a pod of the exporter becomes ready if the exporter, with the pod's flags and the files that it
# mounts, accepts its configuration; if not, it crashes for ever. Other pods stay pending.
set -euo pipefail

readonly config=/etc/starrocks_backup_exporter
files=$(mktemp -d)
trap 'rm -rf "$files"' EXIT

# Writes the entries of a ConfigMap or Secret as files.
mount_object() { # namespace kind name
	kubectl -n "$1" get "$2" "$3" -o json |
		jq -r --arg kind "$2" '.data // {} | to_entries[] | "\(.key) \(if $kind == "secret" then .value else .value | @base64 end)"' |
		while read -r file content; do base64 -d <<<"$content" >"$files/$file"; done
}

accepts() { # namespace pod, as JSON
	local kind name
	local -a args
	rm -f "$files"/*
	while read -r kind name; do
		mount_object "$1" "$kind" "$name" || return
	done < <(jq -r '.spec.volumes[].projected.sources // [] | .[] | if .configMap then "configmap \(.configMap.name)"
		elif .secret.optional then empty else "secret \(.secret.name)" end' <<<"$2")
	mapfile -t args < <(jq -r --arg config "$config" --arg files "$files" \
		'.metadata.name as $pod | .spec.containers[0].args[] | gsub($config; $files) | gsub("\\$\\(POD_NAME\\)"; $pod)' <<<"$2")
	./starrocks_backup_exporter --config.check "${args[@]}"
}

# Every pod of the exporter that has no verdict yet.
while sleep 1; do
	kubectl get pods -A -o json | jq -c '.items[]
		| select(.metadata.deletionTimestamp == null and .status.phase == "Pending" and (.spec.containers[0].args // [] | any(startswith("--config.file="))))' |
		while read -r pod; do
			namespace=$(jq -r .metadata.namespace <<<"$pod") name=$(jq -r .metadata.name <<<"$pod") ready=False
			if accepts "$namespace" "$pod"; then ready=True; fi
			echo "$namespace/$name: ready $ready"
			status=$(jq -n --arg ready "$ready" '{status: {phase: "Running",
				conditions: [{type: "Ready", status: $ready, lastTransitionTime: (now | todate)}]}}')
			kubectl -n "$namespace" patch pod "$name" --subresource=status --patch "$status" >/dev/null || true
		done || true
done
