#!/bin/sh
# Install the oldest versions that pyproject.toml allows for prediction and for $extras; then try them, by hand
# (scripts/smoke.py) and with the tests of server, client, data frames, scikit-learn and reports. Packages that
# pyproject.toml does not name are the newest: floors are promises about what we name.
# Usage: scripts/floors.sh UV FOLDER
set -eu
cd "$(dirname "$0")/.."
uv=$1
folder=$2
extras="server media client image pandas polars parquet cloud sklearn report live"
for_tests="httpx hypothesis onnx pytest pytest-timeout pyyaml"
"$uv" venv --quiet --clear --python "${PYTHON:-python3}" "$folder"
# shellcheck disable=SC2046,SC2086 # lists of words
"$uv" pip compile pyproject.toml $(printf -- '--extra %s ' $extras) --python "$folder/bin/python" \
  --resolution lowest-direct --no-header --no-annotate --quiet --output-file "$folder/floors.txt"
"$uv" pip install --quiet --python "$folder/bin/python" --requirement "$folder/floors.txt"
"$uv" pip install --quiet --python "$folder/bin/python" --no-deps --editable .
"$folder/bin/python" scripts/smoke.py
# shellcheck disable=SC2086 # a list of words
"$uv" pip install --quiet --python "$folder/bin/python" --constraint "$folder/floors.txt" $for_tests
"$folder/bin/python" -m pytest -q -p no:cacheprovider tests/unit/apps/server tests/unit/client \
  tests/unit/runtime/test_frames.py tests/unit/test_sklearn.py tests/unit/report/test_[c-s]*.py
