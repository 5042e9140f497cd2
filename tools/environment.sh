#!/bin/sh
# Run environment.py with $PYTHON, or else with the first Python that fits: the one of .venv, then those on PATH.
cd "$(dirname "$0")/.." || exit 1
if [ -n "${PYTHON:-}" ]; then
    set -- "$PYTHON"
else
    set -- .venv/bin/python python3 python3.14 python3.13 python3.12 python3.11 python
fi
for python in "$@"; do
    "$python" -I -S tools/environment.py --fits 2>/dev/null && exec "$python" -I -S tools/environment.py
done
found=$("${PYTHON:-python3}" -V 2>&1) || found="it cannot be run"
echo "samebits: the locked packages need Python 3.11 to 3.14; ${PYTHON:-python3} does not fit ($found)" >&2
echo "  fix: install one (Debian, Ubuntu: apt-get install python3 python3-venv), or name it: PYTHON=/path/to/python3.12 make" >&2
exit 1
