#!/bin/sh
# An upgrade restarts a running service. A new installation starts nothing: the exporter needs a configuration first.
set -e
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	systemctl try-restart starrocks_backup_exporter.service
fi
