#!/usr/bin/env bash
# Renames the Go modules after HOME_URL in IDENTITY: go install finds a program by the path of its module.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

old=$(go list -m)
new=$(sed -n 's,^HOME_URL=https://,,p' IDENTITY)
git ls-files -z '*.go' | xargs -0 sed -i "s,\"$old/,\"$new/,"
git ls-files -z '*go.mod' | xargs -0 sed -i -E "s,(^|[[:space:]])$old([/[:space:]]|\$),\1$new\2,"
git ls-files -z '*.go' | xargs -0 gofmt -w
