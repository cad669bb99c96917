#!/bin/sh
# On removal, dpkg passes "remove" and rpm passes 0; on an upgrade both pass something else.
set -e
case ${1-} in
remove | 0)
	if [ -d /run/systemd/system ]; then systemctl disable --now starrocks_backup_exporter.service; fi
	;;
esac
