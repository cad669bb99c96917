#!/bin/sh
# Creates the service's user before the files are unpacked, because they belong to its group.
set -e
user=starrocks_backup_exporter
getent group $user >/dev/null || groupadd --system $user
getent passwd $user >/dev/null ||
	useradd --system --gid $user --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin $user
