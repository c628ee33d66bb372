#!/usr/bin/env bash
# Make .venv hold what pyproject.toml and constraints.txt ask for; does nothing when it already does.
#   tools/setup.sh PYTHON EXTRA
set -euo pipefail
cd "$(dirname "$0")/.."
python=$1 extra=$2

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
  echo "Candlecast needs Python 3.11 or newer; '$python' is not. Name one: make PY=/path/to/python3.11 …" >&2
  exit 1
fi

# Two makes in one checkout wait for each other, where the system has flock.
if command -v flock >/dev/null; then exec 9>.venv.lock; flock 9; fi

want="$(cat pyproject.toml constraints.txt | cksum) $(pwd -P)"
for have in "$extra" dev; do  # dev holds all
  [[ "$(cat ".venv/.stamp-$have" 2>/dev/null)" == "$want" ]] && exit 0
done

echo "Setting up .venv with [$extra] (the first time takes a few minutes)…"
[[ -x .venv/bin/python ]] || "$python" -m venv .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[$extra]"
# Compiled once here, so that no later start pays for it, also where PYTHONDONTWRITEBYTECODE is set.
env -u PYTHONDONTWRITEBYTECODE .venv/bin/python -m compileall -q -j 0 .venv/lib >/dev/null 2>&1 || true
echo "$want" > ".venv/.stamp-$extra"
