#!/usr/bin/env bash
# Checks what make release wrote, for a commit: another clone gives the same bytes, each archive is for its platform,
# and the package of this machine is installed, upgraded, downgraded and purged under a systemd of its own.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly name=starrocks_backup_exporter package=starrocks-backup-exporter
VERSION=$(scripts/version.sh)
work=$(mktemp -d)

as_root() {
	if ((EUID == 0)); then "$@"; else sudo "$@"; fi
}

fail() {
	echo "check-release: $*" >&2
	exit 1
}

trap 'as_root rm -rf "$work"' EXIT

(cd dist && sha256sum --check --strict --quiet sha256sums.txt)

# Build again in another directory, later, with another umask.
(
	umask 077
	git clone --quiet . "$work/clone"
	ln -s "$PWD/.tools" "$work/clone/.tools"
	"$work/clone/scripts/release.sh" >/dev/null
)
diff dist/sha256sums.txt "$work/clone/dist/sha256sums.txt" || fail 'the second build differs: it is not reproducible, or something is not committed'

client=$(go list -m -f '{{.Path}}@{{.Version}}' github.com/prometheus/client_golang)
for os in linux darwin windows; do
	for arch in amd64 arm64; do
		target=$name-$VERSION.$os-$arch binary=$name
		case $os in
		windows) binary=$name.exe && unzip -q "dist/$target.zip" -d "$work" ;;
		*) tar --extract --file="dist/$target.tar.gz" --directory="$work" ;;
		esac
		platform=$(go version -m "$work/$target/$binary" | grep -oE 'GO(OS|ARCH)=.*' | sort | xargs)
		[[ $platform == "GOARCH=$arch GOOS=$os" ]] || fail "$target is for $platform"
		grep -q "pkg:golang/$client?" "dist/$target.cdx.json" || fail "$target.cdx.json does not name $client"
	done
done

native=$work/$name-$VERSION.linux-$(go env GOARCH)
"$native/$name" --version 2>&1 | grep -qF "version $VERSION " || fail "not $VERSION: $("$native/$name" --version 2>&1)"
"$native/$name" --config.check --config.file="$native/$name.example.yml"

# The man page has a title and a name, and bash takes the completion. Both are in the packages: those for rpm are compared below.
manual=$(zcat "$native/share/$name.1.gz")
grep -qE "^\.TH \"$name\" 1 \"[0-9]{4}-[0-9]{2}-[0-9]{2}\" \"$name ${VERSION//+/\\+}\" \"User Commands\"$" <<<"$manual" ||
	fail "the man page begins with ${manual%%$'\n'*}"
bash -c "source '$native/share/$name.bash' && complete -p $name" >/dev/null || fail 'bash does not take the completion'
for deb in dist/*.deb; do
	contents=$(dpkg --contents "$deb")
	for file in /usr/share/man/man1/$name.1.gz /usr/share/bash-completion/completions/$name; do
		grep -q " \.$file$" <<<"$contents" || fail "$deb does not contain $file"
	done
done

deb=$(echo dist/${package}_*_"$(dpkg --print-architecture)".deb)
[[ -z $(dpkg-deb --info "$deb" conffiles 2>/dev/null) ]] || fail 'an upgrade would ask about the configuration'
lintian --allow-root --fail-on=error,warning "$deb"

# A container with this machine's /usr, beneath a layer of its own, and its list of packages. The unit check boots it and ends it.
root=$work/root
mkdir -p "$root"/{usr,tmp,packages,var/lib/apt/lists/partial,var/cache/apt/archives/partial,etc/apt/apt.conf.d,etc/apt/preferences.d,etc/systemd/system}
cp --no-dereference /bin /sbin /lib /lib64 "$root"
as_root cp --recursive /var/lib/dpkg "$root/var/lib" # some files are for root only
as_root chown -R "$(id -u)" "$root/var/lib/dpkg"
: >"$root/var/lib/dpkg/triggers/File" # the index of all man pages takes long
rm -f "$root/var/lib/dpkg/statoverride" # names groups that the container lacks
cp --recursive /etc/dpkg /etc/login.defs "$root/etc"
cp deploy/packages/check.sh "$root/packages"
cp "$deb" "$root/packages/this.deb"
for other in older:0.0.1 newer:999.0.0; do
	VERSION=${other#*:} ARCH=$(go env GOARCH) STAGE=$native MAINTAINER=check HOME_URL='' \
		.tools/bin/nfpm package --config deploy/packages/nfpm.yaml --packager deb --target "$root/packages/${other%:*}.deb" >/dev/null
done
echo 'ID=test' >"$root/etc/os-release"
echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"
echo 'root:x:0:' >"$root/etc/group"
echo '127.0.0.1 localhost' >"$root/etc/hosts"
printf '%s\n' 'passwd: files systemd' 'group: files systemd' >"$root/etc/nsswitch.conf"
ln -s /dev/null "$root/etc/systemd/system/systemd-networkd-wait-online.service" # there is no network
cat >"$root/etc/systemd/system/check.service" <<-UNIT
	[Unit]
	SuccessAction=exit-force
	FailureAction=exit-force
	FailureActionExitStatus=1
	[Service]
	Type=oneshot
	ExecStart=/packages/check.sh
	StandardOutput=file:/packages/log
	StandardError=file:/packages/log
UNIT
as_root chown -R root:root "$root"
as_root chmod 755 "$work" "$root" # the service's user must reach it
if ! as_root systemd-nspawn --quiet --boot --directory="$root" --overlay=/usr::/usr --register=no --keep-unit --console=pipe --private-network \
	systemd.unit=check.service >"$work/console" 2>&1 </dev/null || ! grep -qx 'check: passed' "$root/packages/log"; then
	tail -n 20 "$work/console"
	cat "$root/packages/log"
	fail 'the package failed its trial'
fi

# The .rpm holds the same files as the .deb, with the same modes and owners.
for rpm in dist/*.rpm; do
	rpm --checksig --nosignature "$rpm"
	rpmlint --strict --config deploy/packages/rpmlint.toml "$rpm"
	diff <(dpkg --contents "$deb" | awk '!/^d/ && !/lintian/ { print $1, $2, substr($6, 2) }' | sort) \
		<(rpm --query --package --queryformat '[%{FILEMODES:perms} %{FILEUSERNAME}/%{FILEGROUPNAME} %{FILENAMES}\n]' "$rpm" | grep -v ^d | sort) ||
		fail "$rpm differs from the .deb"
	[[ -z $(rpm --query --package --configfiles "$rpm") ]] || fail "$rpm: configuration"
done
echo 'check-release: passed'
