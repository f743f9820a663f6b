#!/bin/sh
# install-tools.sh PROGRAM=PACKAGE...: makes sure that the programs are there.
#
# What is missing is installed with apt-get, as root or through sudo; where that is not possible, it is named. A PACKAGE
# may be several with commas between them.
set -eu

missing=
packages=
for pair; do
    program=${pair%%=*}
    command -v "$program" >/dev/null 2>&1 && continue
    missing="$missing $program"
    packages="$packages $(echo "${pair#*=}" | tr , ' ')"
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
    echo "Missing programs:$missing. Install them (on Debian and Ubuntu they are in:$packages)." >&2
    exit 1
fi
if [ "$(id -u)" = 0 ]; then
    as_root=
elif command -v sudo >/dev/null 2>&1; then
    as_root=sudo
else
    echo "Missing programs:$missing. As root: apt-get install$packages" >&2
    exit 1
fi
echo "Installing$packages"
# The lists may be absent or too old.
$as_root apt-get update -q >/dev/null
# shellcheck disable=SC2086 # a list of packages
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $packages >/dev/null
