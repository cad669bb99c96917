#!/bin/bash
# Runs in a container with systemd, as scripts/check-release.sh boots it: installs the packages in /packages, upgrades, downgrades and
# purges them, all with nobody to answer a question.
set -euo pipefail
exec </dev/null

readonly name=starrocks_backup_exporter package=starrocks-backup-exporter etc=/etc/starrocks_backup_exporter
readonly config=$etc/$name.yml
rm -f /usr/sbin/policy-rc.d # of the machine: it would forbid restarts
export DEBIAN_FRONTEND=noninteractive

fail() {
	echo "check: $*" >&2
	systemctl status --no-pager --lines=20 $name || true
	exit 1
}

install() {
	apt-get -q -y --allow-downgrades install "/packages/$1.deb"
	apt-get check
	[[ $(dpkg-query --show --showformat='${db:Status-Abbrev}' $package) == 'ii ' ]] || fail "after installing $1: $(dpkg --list $package)"
}

# ready waits until it serves: before, SIGHUP would end it.
ready() {
	for ((try = 0; try < 300; try++)); do
		if $name healthcheck; then return; fi
		sleep 1
	done
	fail "it does not serve $1"
}

pid() { systemctl show --property=MainPID --value $name; }

# An untouched package watches nothing.
install this
systemctl start $name
[[ $(systemctl show --property=ActiveState,ConditionResult $name | sort | xargs) == 'ActiveState=inactive ConditionResult=no' ]] ||
	fail 'the untouched package runs'
[[ -z $(ls $etc) && $(stat -c '%U:%G %a' $etc) == "root:$name 750" ]] || fail "$etc: $(ls -la $etc)"

# The example is a configuration to begin with, and the environment is read.
command install --mode=640 --group=$name /usr/share/doc/$package/$name.example.yml $config
echo 'ARGS=--demo' >$etc/$name.env
systemctl enable --now $name
ready 'the example'
first=$(pid)
[[ $(systemctl is-active $name) == active && $(stat -c %U "/proc/$first") == "$name" ]] || fail 'it does not run as its user'

# A reload refuses a bad configuration, and the service keeps running.
cp -p $config /tmp/good.yml
echo 'unknown: field' >>$config
if systemctl reload $name; then fail 'it reloads a bad configuration'; fi
[[ $(pid) == "$first" ]] || fail 'a refused reload ended it'
cp -p /tmp/good.yml $config
echo '# edited by the administrator' >>$config
systemctl reload $name

# An upgrade and a downgrade keep the configuration and restart the service.
for version in newer older; do
	before=$(pid)
	install $version
	ready "the $version one"
	[[ $(systemctl is-active $name) == active && $(pid) != "$before" ]] || fail "installing the $version one does not restart it"
	[[ $(tail -n 1 $config) == '# edited by the administrator' ]] || fail "installing the $version one changes the configuration"
done

# A configuration that a version refuses does not leave the package half installed.
echo 'unknown: field' >>$config
install newer
[[ $(systemctl is-active $name) != active ]] || fail 'it starts with a bad configuration'
cp -p /tmp/good.yml $config
systemctl restart $name
ready 'a corrected configuration'

# Removing keeps the configuration, purging nothing.
apt-get -q -y remove $package
[[ -e $config && $(systemctl is-active $name) == inactive ]] || fail 'removing it deletes the configuration, or leaves it running'
apt-get -q -y purge $package
if getent passwd $name || getent group $name; then fail 'its user is left'; fi
left=$(find /etc /var/lib/dpkg/info /usr/share/doc /usr/lib/systemd /usr/share/man -name "*$name*" -o -name "*$package*")
[[ -z $left ]] || fail "left: $left"
echo 'check: passed'
