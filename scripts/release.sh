#!/usr/bin/env bash
# Writes dist/: an archive and a bill of materials for each platform, packages for Linux, and the sums of them all.
# A commit gives the same bytes wherever it is built by the same Go and tools.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
umask 022

readonly name=starrocks_backup_exporter
read -ra platforms <<<"${PLATFORMS:-linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64}"
readonly platforms
readonly documents=(
	CHANGELOG.md CONTRIBUTING.md LICENSE NOTICE README.md SECURITY.md starrocks_backup_exporter.example.yml
	alerts/README.md alerts/alertmanager.yml alerts/rules.yml
	dashboards/README.md dashboards/fleet.json dashboards/instance.json dashboards/provisioning/dashboards.yml dashboards/provisioning/datasources.yml
	docs/*.md docs/*.png
	deploy/packages/copyright deploy/packages/lintian-overrides deploy/systemd/starrocks_backup_exporter.env deploy/systemd/starrocks_backup_exporter.service
)

identity() { sed -n "s/^$1=//p" IDENTITY; }

VERSION=$(scripts/version.sh)
BRANCH=$(scripts/branch.sh)
HOME_URL=$(identity HOME_URL)
MAINTAINER=$(identity MAINTAINER)
REVISION=$(git describe --always --exclude='*' --abbrev=40 --dirty)
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export VERSION REVISION BRANCH HOME_URL MAINTAINER SOURCE_DATE_EPOCH BUILD_USER=release LC_ALL=C TZ=UTC

# platform GOOS GOARCH
platform() {
	local target=$name-$VERSION.$1-$2 binary=$name
	if [[ $1 == windows ]]; then binary=$name.exe; fi
	GOOS=$1 GOARCH=$2 make --no-print-directory build BINARY="dist/$target/$binary"
	.tools/bin/cyclonedx-gomod bin -json -std -licenses -noserial -notimestamp -version "v$VERSION" -output "dist/$target.cdx.json" "dist/$target/$binary"

	cp --parents "${documents[@]}" "dist/$target"
	cp dist/share/rules.yml "dist/$target/alerts"
	if [[ $1 != windows ]]; then cp -r dist/share "dist/$target" && rm "dist/$target/share/rules.yml"; fi
	chmod -R u=rwX,go=rX "dist/$target"
	find "dist/$target" -exec touch --date="@$SOURCE_DATE_EPOCH" {} +
	if [[ $1 == windows ]]; then
		(cd dist && find "$target" -type f | sort | zip -q -X "$target.zip" -@)
	else
		tar --create --directory=dist --sort=name --owner=0 --group=0 --numeric-owner --format=ustar "$target" | gzip -9n >"dist/$target.tar.gz"
	fi
	if [[ $1 == linux ]]; then
		for packager in deb rpm; do
			ARCH=$2 STAGE=dist/$target .tools/bin/nfpm package --config deploy/packages/nfpm.yaml --packager "$packager" --target dist
		done
	fi
	rm -r "dist/$target"
}

rm -rf dist
mkdir -p dist/share
# What a binary for this machine says of itself holds for all.
make --no-print-directory build BINARY=dist/native
dist/native --help-man | gzip -9n >dist/share/$name.1.gz
dist/native --completion-script-bash >dist/share/$name.bash
dist/native --completion-script-zsh >dist/share/$name.zsh
scripts/debian-changelog.sh | gzip -9n >dist/share/changelog.gz
go run ./alerts --runbook-url="$HOME_URL/blob/$REVISION/alerts/README.md" >dist/share/rules.yml
for p in "${platforms[@]}"; do platform "${p%/*}" "${p#*/}"; done
rm -r dist/native dist/share
cd dist
sums=$(sha256sum -- *)
echo "$sums" >sha256sums.txt
