#!/bin/sh
# Install the oldest versions that pyproject.toml allows for prediction, server, media, client and image; then try them,
# by hand (scripts/smoke.py) and with the tests of server and client. Packages that pyproject.toml does not name are the
# newest: floors are promises about what we name.
# Usage: scripts/floors.sh UV FOLDER
set -eu
cd "$(dirname "$0")/.."
uv=$1
folder=$2
for_tests="httpx hypothesis onnx pytest pytest-timeout pyyaml"
"$uv" venv --quiet --clear --python "${PYTHON:-python3}" "$folder"
"$uv" pip compile pyproject.toml --extra server --extra media --extra client --extra image --python "$folder/bin/python" \
  --resolution lowest-direct --no-header --no-annotate --quiet --output-file "$folder/floors.txt"
"$uv" pip install --quiet --python "$folder/bin/python" --requirement "$folder/floors.txt"
"$uv" pip install --quiet --python "$folder/bin/python" --no-deps --editable .
"$folder/bin/python" scripts/smoke.py
# shellcheck disable=SC2086 # a list of words
"$uv" pip install --quiet --python "$folder/bin/python" --constraint "$folder/floors.txt" $for_tests
"$folder/bin/python" -m pytest -q -p no:cacheprovider tests/unit/apps/server tests/unit/client
