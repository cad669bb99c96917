#!/bin/sh
# dpkg says "remove", rpm 0; both say something else in an upgrade.
set -e
case ${1-} in
remove | 0)
	if [ -d /run/systemd/system ]; then systemctl disable --now starrocks_backup_exporter.service; fi
	;;
esac
