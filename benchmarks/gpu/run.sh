#!/bin/sh
# Trains on a GPU, evaluates what came out, and leaves JSON: one command, no network needed.
#
#     benchmarks/gpu/run.sh DATA OUT [TIME]
#
# DATA: molecules, such as zinc250k_train.smi.gz. OUT: a folder for results; they are gpu.json (what
# was measured), evaluate.json and run/ (the model). TIME: of training, 8m by default. Packages that
# are missing are taken from benchmarks/gpu/wheels, which pack.sh fills. DEVICE=cpu tries it all
# without a GPU, BATCH=128 changes the batch; SAMPLES the number of molecules that are evaluated.
#
#     benchmarks/gpu/run.sh mnist.npz OUT [OPTIONS]
#     benchmarks/gpu/run.sh mnist.npz OUT --objectives [OPTIONS]
#
# Images make the table on images (benchmarks/images.py) instead, with --paper unless other OPTIONS
# are given; its cells come into OUT/cells. WORK names a folder for trainings, with which the same
# command goes on where it was stopped. With --objectives it is the table of objectives
# (benchmarks/objectives.py) with --full, whose cells come into OUT/objectives; unless OPTIONS name
# others its rows are IWAE with K = 50 and two games, AAE and IAE. --full alone makes all rows.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
data=$(readlink -f "$1")
mkdir -p "$2"
out=$(readlink -f "$2")
time=${3:-8m}
python=${PYTHON:-python3}
device=${DEVICE:-cuda}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The package as it is installed, without installing it: three of its folders live at the top.
mkdir "$work/source"
cp -R "$root/molae" "$work/source/molae"
for part in cli grammars data; do
    rm -rf "$work/source/molae/$part"
    cp -R "$root/$part" "$work/source/molae/$part"
done
cp -R "$root/benchmarks" "$work/source/benchmarks"
export PYTHONPATH="$work/source:$work/packages" MOLAE_CACHE="$work/cache"
missing=$("$python" -c '
from importlib.util import find_spec
print(*(name for name in ("rdkit", "nltk", "zuko", "fcd_torch", "regex") if not find_spec(name)))')
for package in $missing; do
    "$python" -m pip install --quiet --no-deps --no-index --find-links "$root/benchmarks/gpu/wheels" \
        --target "$work/packages" "$package"
done

cp "$data" "$work/$(basename "$data")" # caches are written beside the data
data="$work/$(basename "$data")"
molae() { "$python" -c 'from molae.cli.main import app; app()' "$@"; }
cd "$work"
case $data in
*.npz)
    shift 2
    if [ "${1:-}" = --objectives ]; then
        shift
        [ $# -gt 0 ] || set -- --full --models iwae-50 aae iae
        "$python" -m benchmarks.objectives "$data" "$@" --device "$device" \
            --out "$out/objectives" --work "${WORK:-$work/trainings}"
        exit
    fi
    [ $# -gt 0 ] || set -- --paper
    "$python" -m benchmarks.images "$data" "$@" --device "$device" --out "$out/cells" \
        --work "${WORK:-$work/trainings}" --picture "$out/images.png" --curve "$out/components.svg"
    exit
    ;;
esac
"$python" -m benchmarks.gpu.check --device "$device" --output "$out/check.json"
molae train "$data" -o "$out/run" --time "$time" --batch-size "${BATCH:-1024}" \
    --learning-rate "${RATE:-2e-3}" --precision "${PRECISION:-bf16}" --device "$device"
molae evaluate -m "$out/run" --train "$data" --number "${SAMPLES:-10000}" --device "$device" \
    --output "$out/evaluate.json"
"$python" -m benchmarks.gpu.report "$out"
