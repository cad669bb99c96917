#!/usr/bin/env bash
# Prints the branch for the metric exporter_build_info: the tag of a release, or else git's branch.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

version=$(scripts/version.sh)
if [[ $version == *-dev* ]]; then
	git rev-parse --abbrev-ref HEAD 2>/dev/null || echo unknown
else
	echo "v$version"
fi
