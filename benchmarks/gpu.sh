#!/usr/bin/env bash
# What a first session on a GPU should measure, in less than six minutes, from a source tree:
#
#     bash benchmarks/gpu.sh [OUT] [--only TEXT] [--eager] [--minutes 5.5] [--accelerator cpu]
#
# Prints a table, and writes it to OUT/gpu.md and OUT/gpu.json (OUT is gpu/ if not given). Nothing is fetched or
# installed, and no data set is needed. PYTHON names the interpreter, 3.11 or newer with torch 2.11 or newer. Beside
# torch, torchvision, lightning, torchmetrics, timm, numba, safetensors, scipy and rich it needs constriction,
# jsonargparse, docstring-parser, typeshed-client, ruamel.yaml and segmentation-models-pytorch, which may be unpacked
# wheels on PYTHONPATH; without pytest the tests are left out. polars, wandb, matplotlib and pyiqa are not needed.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PYTHONPATH="$(dirname "$here")${PYTHONPATH:+:$PYTHONPATH}"
export PYTHONPATH
exec "${PYTHON:-python3}" "$here/gpu.py" "$@"
