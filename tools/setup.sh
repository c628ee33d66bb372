#!/usr/bin/env bash
# Make .venv hold what pyproject.toml and constraints.txt ask for; does nothing when it already does.
#   [PY=/path/to/python] tools/setup.sh EXTRA
set -euo pipefail
cd "$(dirname "$0")/.."
extra=$1

# A name on the path may be a shim of a Python that is not installed, so each is asked.
python=
for candidate in ${PY:-python3.12 python3.13 python3.11 python3}; do
  if "$candidate" -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    python=$candidate
    break
  fi
done
if [[ -z "$python" ]]; then
  echo "Candlecast needs Python 3.11 or newer (with venv); none of '${PY:-python3.12 python3.13 python3.11 python3}' is." \
    "Name one: make PY=/path/to/python3.11 …" >&2
  exit 1
fi

# Two makes in one checkout wait for each other, where the system has flock.
if command -v flock >/dev/null; then exec 9>.venv.lock; flock 9; fi

want="$(cat pyproject.toml constraints.txt | cksum) $(pwd -P)"
for have in "$extra" dev; do  # dev holds all
  [[ "$(cat ".venv/.stamp-$have" 2>/dev/null)" == "$want" ]] && exec tools/scripts.sh
done

echo "Setting up .venv with [$extra] (the first time takes a few minutes)…"
[[ -x .venv/bin/python ]] || "$python" -m venv .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[$extra]"
# Compiled once here, so that no later start pays for it, also where PYTHONDONTWRITEBYTECODE is set.
env -u PYTHONDONTWRITEBYTECODE .venv/bin/python -m compileall -q -j 0 .venv/lib >/dev/null 2>&1 || true
echo "$want" > ".venv/.stamp-$extra"
tools/scripts.sh
