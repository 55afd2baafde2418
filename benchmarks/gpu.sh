#!/usr/bin/env bash
# Everything that p2ptk measures on a GPU, in one command of under 9 minutes.
#
#   benchmarks/gpu.sh wheels                 on a machine with a network: fill wheels/
#   benchmarks/gpu.sh [FACADES] [OUT]        on the GPU machine: measure, print tables
#
# FACADES is a folder of side-by-side pairs (train/, val/); without it the demo's pairs stand in.
# OUT (default gpu-results/) gets each table, the samples and the report of the long run. What torch
# comes with is used as it is; the rest of p2ptk's requirements is taken from wheels/ where it is
# missing, so that the GPU machine needs no network. PYTHON and WHEELS_PYTHON (3.12) name others.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=${PYTHON:-python3}

# Not torch, torchvision, numpy or pillow: those are the machine's own.
packages=(pydantic filelock tomli-w tifffile platformdirs safetensors pluggy packaging click rich
    typing-extensions jinja2 hatchling editables pytest pytest-timeout
    pytest-xdist hypothesis)

if [ "${1:-}" = wheels ]; then
    exec "$python" -m pip download --quiet --dest wheels --only-binary :all: --no-deps \
        --python-version "${WHEELS_PYTHON:-3.12}" --platform manylinux2014_x86_64 \
        --platform manylinux_2_28_x86_64 --constraint constraints.txt \
        "${packages[@]}" pydantic-core annotated-types typing-inspection pathspec trove-classifiers \
        execnet sortedcontainers iniconfig markupsafe pygments markdown-it-py mdurl
fi

facades=${1:-}
out=${2:-gpu-results}
mkdir -p "$out"
export P2PTK_CACHE="$out/cache" P2PTK_PLUGINS=""

part() { # part SECONDS FILE COMMAND...: shown and kept; a part that fails does not end the others
    local seconds=$1 file=$2
    shift 2
    printf '\n$ %s\n' "$*" | tee "$out/$file"
    timeout "$seconds" "$@" 2>&1 | tee -a "$out/$file"
    local code=${PIPESTATUS[0]}
    [ "$code" = 0 ] || printf 'exit code %s\n' "$code" | tee -a "$out/$file"
}

if ! "$python" -c 'import p2ptk.cli, pydantic, tifffile' 2>/dev/null; then
    missing=()
    for wheel in wheels/*.whl; do
        name=$(basename "$wheel" | cut -d- -f1)
        "$python" -c "import importlib.metadata as m; m.version('$name')" 2>/dev/null || missing+=("$wheel")
    done
    "$python" -m pip install --quiet --no-index --no-deps "${missing[@]}" || exit 1
    "$python" -m pip install --quiet --no-index --no-deps --no-build-isolation --editable . || exit 1
fi

if [ -n "$facades" ]; then data=(-d "$facades" --direction BtoA --epochs 200); else data=(--epochs 200); fi

part 30 card.txt nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm --format=csv
part 30 doctor.txt "$python" -m p2ptk doctor
part 100 tests.txt "$python" -m pytest -m gpu -q -p no:cacheprovider
part 120 bench.txt "$python" -m p2ptk bench --quick --batch-size 1,16,32 \
    --precision fp32 --precision bf16 --profile "$out/trace.json"
part 40 ddp.txt "$python" benchmarks/ddp.py --batch-size 1,16 --precision bf16 --steps 20
# the whole of a paper's training: decoding, samples and checkpoints count
part 220 facades.txt "$python" -m p2ptk run "${data[@]}" --precision bf16 --set train.graph=true \
    --max-time 200s -o "$out/run"
tail -n 3 "$out/run/metrics.jsonl" 2>/dev/null
rm -rf "$out/cache" "$out/run/checkpoints" # large, and of no use elsewhere
