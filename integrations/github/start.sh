# Find a CPython that tavo runs on, and start the step with it, isolated from its environment.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
fits='import sys; sys.exit(sys.implementation.name != "cpython" or sys.version_info < (3, 11))'
if [ -n "${INPUT_PYTHON:-}" ]; then
  candidates=("$INPUT_PYTHON")
else
  candidates=(python3 python python3.13 python3.12 python3.11 python3.14)
fi
for candidate in "${candidates[@]}"; do
  if found=$(command -v -- "$candidate") && "$found" -I -S -c "$fits" >/dev/null 2>&1; then
    exec "$found" -I -S -B "$here"
  fi
done
if [ -n "${INPUT_PYTHON:-}" ]; then
  what="the interpreter that the input python names is not there, or no CPython of 3.11 or newer"
else
  what="no CPython of 3.11 or newer is on PATH"
fi
echo "::error title=tavo::$what. Put actions/setup-python before this action, or name one with the input python."
exit 2
