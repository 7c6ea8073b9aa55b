#!/bin/sh
# Fetches what a GPU machine without a network may lack, into benchmarks/gpu/wheels (not committed).
#
#     benchmarks/gpu/pack.sh [PYTHON-VERSION]     3.12 by default, that of the GPU machine
#
# torch, numpy, pandas, scikit-learn, accelerate, numba, typer and rich are expected to be there.
set -eu
cd "$(dirname "$0")/../.."
version=${1:-3.12}
for package in rdkit nltk zuko fcd-torch regex; do
    pin=$(grep -i "^$(echo "$package" | tr _ -)==" constraints.txt || echo "$package")
    python3 -m pip download --quiet --no-deps --only-binary :all: --dest benchmarks/gpu/wheels \
        --python-version "$version" --platform manylinux_2_28_x86_64 \
        --platform manylinux2014_x86_64 --platform any "$pin"
done
du -sh benchmarks/gpu/wheels
