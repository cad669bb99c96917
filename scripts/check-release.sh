#!/usr/bin/env bash
# Checks what make release wrote, for a commit: another clone gives the same bytes, each archive is for its platform,
# and the package of this machine is installed, tried and removed again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly name=starrocks_backup_exporter package=starrocks-backup-exporter etc=/etc/starrocks_backup_exporter
VERSION=$(cat VERSION)
work=$(mktemp -d)
installed=

as_root() {
	if ((EUID == 0)); then "$@"; else sudo "$@"; fi
}

fail() {
	echo "check-release: $*" >&2
	exit 1
}

clean() {
	if [[ -n $installed ]]; then
		as_root dpkg --purge $package
		as_root userdel $name # packages leave their users
	fi
	rm -rf "$work"
}
trap clean EXIT

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
"$native/$name" --config.check --config.file="$native/$name.example.yml"

# The man page has a title and a name, and bash takes the completion. Both are in the packages: those for rpm are compared below.
manual=$(zcat "$native/share/$name.1.gz")
grep -qE "^\.TH \"$name\" 1 \"[0-9]{4}-[0-9]{2}-[0-9]{2}\" \"$name $VERSION\" \"User Commands\"$" <<<"$manual" ||
	fail "the man page begins with ${manual%%$'\n'*}"
bash -c "source '$native/share/$name.bash' && complete -p $name" >/dev/null || fail 'bash does not take the completion'
for deb in dist/*.deb; do
	contents=$(dpkg --contents "$deb")
	for file in /usr/share/man/man1/$name.1.gz /usr/share/bash-completion/completions/$name; do
		grep -q " \.$file$" <<<"$contents" || fail "$deb does not contain $file"
	done
done

[[ ! -e $etc ]] || fail "$etc exists: refusing to install the package on a machine that uses it"
installed=yes
as_root dpkg --install dist/${package}_*_"$(dpkg --print-architecture)".deb
/usr/bin/$name --version 2>&1 | grep -q "version $VERSION " || fail "not $VERSION: $(/usr/bin/$name --version 2>&1)"
[[ $(stat -c '%U:%G %a' $etc $etc/$name.yml $etc/$name.env | xargs) == "root:$name 750 root:$name 640 root:root 600" ]] ||
	fail "modes: $(stat -c '%n %U:%G %a' $etc $etc/*)"
as_root setpriv --reuid=$name --regid=$name --clear-groups /usr/bin/$name --config.check --config.file=$etc/$name.yml
# The unit's ExecStart exists.
systemd-analyze verify /usr/lib/systemd/system/$name.service
[[ $(dpkg-query --show --showformat='${Conffiles}' $package | awk '{ print $1 }' | sort | xargs) == "$etc/$name.env $etc/$name.yml" ]] ||
	fail 'an upgrade would overwrite the configuration'

# The .rpm holds the same files as the .deb, with the same modes and owners.
for rpm in dist/*.rpm; do
	rpm --checksig --nosignature "$rpm"
	diff <(dpkg --contents dist/${package}_*_"$(dpkg --print-architecture)".deb | awk '!/^d/ { print $1, $2, substr($6, 2) }' | sort) \
		<(rpm --query --package --queryformat '[%{FILEMODES:perms} %{FILEUSERNAME}/%{FILEGROUPNAME} %{FILENAMES}\n]' "$rpm" | grep -v ^d | sort) ||
		fail "$rpm differs from the .deb"
	[[ $(rpm --query --package --configfiles "$rpm" | sort | xargs) == "$etc/$name.env $etc/$name.yml" ]] || fail "$rpm: configuration"
done
echo 'check-release: passed'
