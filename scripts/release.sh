#!/bin/sh
# Make what a release consists of, in dist/: wheel, source package, bills of materials (CycloneDX), notices, checksums.
# The wheel is installed beside the server's lock and tried before it is called done.
# Usage: scripts/release.sh TOOLS FULL (folders of virtual environments)
set -eu
cd "$(dirname "$0")/.."
tools=$1
full=$2
tried=build/release
[ -e earnest/apps/web/index.html ] || { echo "The page is not built: install Node 20 and run 'make page'." >&2; exit 1; }
"$full/bin/python" scripts/third_party_notices.py
git diff --exit-code --quiet -- THIRD_PARTY_NOTICES.md locks || {
  echo "THIRD_PARTY_NOTICES.md or locks/ changed: look, commit, and ask again." >&2
  exit 1
}
rm -rf dist "$tried" build/lib build/bdist.*
"$tools/bin/python" -m build --no-isolation --outdir dist .
"${PYTHON:-python3}" -m venv "$tried"
"$tried/bin/python" -m pip --disable-pip-version-check --quiet install --require-hashes --no-deps \
  --requirement locks/server.txt
"$tools/bin/python" scripts/bill.py "$tried/bin/python" dist/sbom-server.cdx.json
"$tried/bin/python" -m pip --disable-pip-version-check --quiet install --no-deps dist/*.whl
(cd "$tried" && bin/python ../../scripts/smoke.py)
"$tried/bin/python" -m zipfile --list dist/*.whl >"$tried/files"
for file in apps/web/index.html apps/web/licences.txt audio/silero_vad.onnx audio/silero_vad.txt \
  models/notices/whisper.txt recipes/emocatcher.toml; do
  grep -q "^earnest/$file" "$tried/files" || { echo "The wheel lacks $file." >&2; exit 1; }
done
"$tools/bin/python" scripts/bill.py "$full/bin/python" dist/sbom-full.cdx.json
(cd web && npm sbom --package-lock-only --sbom-format cyclonedx) >dist/sbom-page.cdx.json
cp THIRD_PARTY_NOTICES.md locks/light.txt locks/server.txt dist/
(cd dist && sha256sum -- * >SHA256SUMS)
rm -rf "$tried"
echo "dist/:"
ls -l dist
