#!/usr/bin/env bash
# Runs the tests, also after a failure. Prints a line for each step and, of a failed one, what failed; the rest is in .logs.
#   test.sh MODULE...   all but the heaviest; the arguments are the directories of the separate modules
#   test.sh heavy       the heaviest
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly logs=$PWD/.logs lines=60
mkdir -p "$logs"
failed=()

# step NAME DIRECTORY COMMAND...
step() {
	local name=$1 directory=$2 log began=$SECONDS
	log=$logs/${name//\//-}.log
	shift 2
	if (cd "$directory" && "$@") >"$log" 2>&1; then
		echo "ok    $name ($((SECONDS - began)) s)"
		return
	fi
	failed+=("$name")
	echo "FAIL  $name ($((SECONDS - began)) s): $log"
	# The failed tests and what they say first, without all that the programs under test logged.
	awk '/^ok |no test files/ { next }
		/^(---|    ---) |^panic:|^FAIL|^#|^vet:|^[^ ]*\.go:/ { print substr($0, 1, 400); left = 8; next }
		left > 0 && /^ / { print substr($0, 1, 400); left-- }' "$log" | head -n "$lines"
}

# Results that depend on files outside the module or on programs are not taken from Go's cache: it does not see that they changed.
readonly uncached=(go test -count=1 -timeout=60m)
# The system tests and their neighbors run together, so that none runs twice.
mapfile -t system < <(grep -rl --include='*_test.go' '^//go:build system$' . | xargs -n 1 dirname | sort -u)

if [[ ${1-} == heavy ]]; then
	step heavy . "${uncached[@]}" -tags=system -run='^TestHeavy' ./test
else
	mapfile -t others < <(comm -23 <(go list ./... | sort) <(go list -tags=system "${system[@]}" | sort))
	step vet . go vet ./...
	step vet-system . go vet -tags=system ./...
	step test . go test "${others[@]}"
	# The system tests mostly wait for servers, so the separate modules are tested beside them.
	(failed=() && step system . "${uncached[@]}" -tags=system -skip='^TestHeavy' "${system[@]}" && ((${#failed[@]} == 0))) &
	for module; do
		step "$module/vet" "$module" go vet ./...
		step "$module/test" "$module" "${uncached[@]}" ./...
	done
	wait $! || failed+=(system)
fi

if ((${#failed[@]} > 0)); then
	echo "failed: ${failed[*]}" >&2
	exit 1
fi
