#!/usr/bin/env bash
# Writes NOTICE: the licenses of Go and of every module linked into the binary, on any platform. Each text is there once.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

declare -A directory=([Go]=$(go env GOROOT))
while read -r module where; do
	directory[$module]=$where
done < <(for os in linux darwin windows; do
	GOOS=$os CGO_ENABLED=0 go list -deps -f '{{with .Module}}{{if not .Main}}{{.Path}} {{.Dir}}{{end}}{{end}}' .
done | sort -u)

declare -A modules=() text=()
while read -r module; do
	files=$(find "${directory[$module]}" -maxdepth 1 -type f \( -iname 'licen[cs]e*' -o -iname 'copying*' -o -iname 'notice*' \) | LC_ALL=C sort)
	if [[ -z $files ]]; then
		echo "notice: $module has no license" >&2
		exit 1
	fi
	while read -r file; do
		content=$(tr -d '\r' <"$file" | sed 's/[[:blank:]]*$//')
		sum=$(sha256sum <<<"$content")
		modules[$sum]+=${modules[$sum]:+, }$module
		text[$sum]=$content
	done <<<"$files"
done < <(printf '%s\n' "${!directory[@]}" | LC_ALL=C sort)

echo 'starrocks_backup_exporter'
echo 'Copyright The starrocks_backup_exporter authors. Licensed under the Apache License 2.0, see LICENSE.'
echo
echo 'The binary contains Go'\''s standard library and the modules below. These are their licenses and notices.'
for sum in "${!modules[@]}"; do printf '%s\t%s\n' "${modules[$sum]}" "$sum"; done | LC_ALL=C sort |
	while IFS=$'\t' read -r names sum; do
		printf '\n%s\n%s\n\n%s\n' '--------------------------------------------------------------------------------' "$names" "${text[$sum]}"
	done
