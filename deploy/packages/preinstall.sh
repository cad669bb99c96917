#!/bin/sh
# The user of the service, before its files are there: they belong to its group.
set -e
user=starrocks_backup_exporter
getent group $user >/dev/null || groupadd --system $user
getent passwd $user >/dev/null ||
	useradd --system --gid $user --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin $user
