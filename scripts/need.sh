#!/usr/bin/env bash
# Installs the Debian packages that a target needs and that are missing.
# Usage: scripts/need.sh build|run|test|bench …
# At a terminal it asks once; without the right to install it prints the exact
# command and stops.
set -euo pipefail

build="gcc libc6-dev pkg-config libpcsclite-dev"
run="pcscd vsmartcard-vpcd fonts-noto-cjk curl"
bench="postgresql-15"
test="chromium zbar-tools poppler-utils strace fuse3 openssl postgresql-15"

if ! command -v go >/dev/null 2>&1; then
  PATH="$PATH:/usr/local/go/bin"
fi
if ! command -v go >/dev/null 2>&1; then
  echo "Go 1.26 is missing. Unpack the official archive of your platform to /usr/local/go and put /usr/local/go/bin on PATH; README.md, section \"What you need\", has the steps." >&2
  exit 1
fi
have=$(go env GOVERSION)
case "$have" in
  go1.2[6-9]*|go1.[3-9][0-9]*) ;;
  *) echo "Go 1.26 or newer is needed; this is $have." >&2; exit 1 ;;
esac

want=""
for group in "$@"; do want="$want ${!group}"; done
missing=""
for p in $want; do
  dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $p"
done
[ -n "$missing" ] || exit 0

as=""
[ "$(id -u)" = 0 ] || as="sudo"
install="$as apt-get install -y --no-install-recommends$missing"
echo "These Debian packages are needed and missing:$missing"
if [ -n "$as" ] && ! command -v sudo >/dev/null 2>&1; then
  echo "You are not root and there is no sudo. Ask an administrator to run:" >&2
  echo "  apt-get update && apt-get install -y --no-install-recommends$missing" >&2
  exit 1
fi
if [ -t 0 ] && [ -t 1 ]; then
  read -r -p "Install them now with: $install ? [Y/n] " answer
  case "$answer" in
    ""|y|Y|yes) ;;
    *) echo "Nothing was installed. Run the command above yourself, then try again." >&2; exit 1 ;;
  esac
fi
export DEBIAN_FRONTEND=noninteractive
$as apt-get update -q
if ! $install; then
  echo "apt could not install:$missing" >&2
  echo "Look at its words above, mend that, and try again." >&2
  exit 1
fi
