#!/bin/sh
# Install the oldest versions that pyproject.toml allows for prediction, server, media and client; then try them.
# Packages that we do not name ourselves are the newest: floors are promises about what we name.
# Usage: scripts/floors.sh UV FOLDER
set -eu
cd "$(dirname "$0")/.."
uv=$1
folder=$2
"$uv" venv --quiet --clear --python "${PYTHON:-python3}" "$folder"
"$uv" pip compile pyproject.toml --extra server --extra media --extra client --resolution lowest-direct \
  --python "$folder/bin/python" --no-header --no-annotate --quiet --output-file "$folder/floors.txt"
"$uv" pip install --quiet --python "$folder/bin/python" --requirement "$folder/floors.txt"
"$uv" pip install --quiet --python "$folder/bin/python" --no-deps --editable .
"$folder/bin/python" -W error::DeprecationWarning:earnest scripts/smoke.py
