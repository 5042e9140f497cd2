#!/bin/sh
# Make sure that .venv is ready, with a Python that can carry it: $PYTHON if that is set, else the one .venv has,
# else the first fitting one on PATH. Plain sh, since an old Python could not even read environment.py.
set -u
cd "$(dirname "$0")/.." || exit 1

# Nothing named and nothing to do: the common case, in one start of an interpreter without its site packages.
if [ -z "${PYTHON:-}" ] && [ -x .venv/bin/python ]; then
    .venv/bin/python -I -S tools/environment.py --check 2>/dev/null && exit 0
fi

# .venv itself is no Python to make .venv with, and make puts it first on PATH.
outside=
IFS=:
for folder in $PATH; do
    [ "$folder" = "$PWD/.venv/bin" ] || outside=$outside:$folder
done
unset IFS
PATH=${outside#:}
export PATH

fits='import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))'
for python in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11 python}; do
    if "$python" -c "$fits" 2>/dev/null; then
        exec "$python" tools/environment.py
    fi
done

if [ -n "${PYTHON:-}" ]; then
    found=$("$PYTHON" -V 2>&1) || found="it cannot be run"
    echo "samebits: PYTHON=$PYTHON does not fit ($found); the locked packages are for Python 3.11 to 3.14" >&2
else
    found=$(python3 -V 2>&1) || found="there is no python3"
    echo "samebits: no Python 3.11 to 3.14 on PATH ($found)" >&2
fi
echo "  fix: install one (Debian, Ubuntu: apt-get install python3 python3-venv), or name it: PYTHON=/path/to/python3.12 make" >&2
exit 1
