#!/usr/bin/env bash
# Prints the version. A commit with the tag v$(cat VERSION) is that release; all others are builds on the way to it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

version=$(cat VERSION)
if ! revision=$(git describe --always --exclude='*' --abbrev=12 --dirty=.dirty 2>/dev/null); then
	echo "$version-dev"
elif [[ $revision != *.dirty ]] && git tag --points-at HEAD | grep -qxF "v$version"; then
	echo "$version"
else
	echo "$version-dev+$revision"
fi
