#!/bin/sh
# An upgrade restarts what runs. Nothing starts by itself: it needs a configuration first.
set -e
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	systemctl try-restart starrocks_backup_exporter.service
fi
