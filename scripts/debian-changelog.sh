#!/usr/bin/env bash
# Writes CHANGELOG.md in Debian's form, for the package VERSION of the time SOURCE_DATE_EPOCH. Unreleased changes belong to VERSION.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

awk -v version="${VERSION/-/\~}" -v now="$(date --utc --rfc-email --date="@$SOURCE_DATE_EPOCH")" -v maintainer="$MAINTAINER" '
	function finish() { if (open) printf "\n -- %s  %s\n\n", maintainer, date; open = 0 }
	function rfc_email(day,   line, command) {
		command = "date --utc --rfc-email --date=" day
		command | getline line
		close(command)
		return line
	}
	# "## Unreleased", or "## 0.1.0 / 2026-11-26"
	/^## / {
		finish()
		open = 1
		date = $4 ~ /^[0-9-]+$/ ? rfc_email($4) : now
		printf "starrocks-backup-exporter (%s) unstable; urgency=medium\n\n", $2 == "Unreleased" ? version : $2
	}
	/^- / && open { # folded at 78 columns
		line = "  *"
		for (i = 2; i <= NF; i++) {
			if (length(line) + length($i) > 77) { print line; line = "   " }
			line = line " " $i
		}
		print line
	}
	END { finish() }
' CHANGELOG.md
