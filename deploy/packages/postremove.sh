#!/bin/sh
# Only dpkg purges. Fedora keeps the users of its packages.
set -e
if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
if [ "${1-}" = purge ]; then
	rm -rf /etc/starrocks_backup_exporter # it may hold secrets, readable by a group that goes too
	if getent passwd starrocks_backup_exporter >/dev/null; then userdel starrocks_backup_exporter; fi
fi
