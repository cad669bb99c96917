#!/bin/sh
# An upgrade or downgrade restarts a running service. A new installation starts nothing: the exporter needs a configuration first.
# A service that does not start again does not fail the installation: every later run of apt would fail too.
set -e
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	control=$(command -v deb-systemd-invoke || command -v systemctl)
	"$control" try-restart starrocks_backup_exporter.service ||
		echo 'starrocks_backup_exporter did not start again, see: journalctl -u starrocks_backup_exporter' >&2
fi
