#!/usr/bin/env bash
# What a first session on a GPU should measure, in less than six minutes, from a source tree:
#
#     bash benchmarks/gpu.sh [OUT] [--accelerator cpu] [--only TEXT] [--minutes 6]
#
# Prints a table, and writes it to OUT/gpu.md and OUT/gpu.json (OUT is gpu/ if not given). Nothing is fetched or
# installed; PYTHON names the interpreter, and packages may lie on PYTHONPATH. See gpu.py.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export PYTHONPATH="$(dirname "$here")${PYTHONPATH:+:$PYTHONPATH}"
exec "${PYTHON:-python3}" "$here/gpu.py" "$@"
