#!/bin/sh
# run_tests.sh PYTHON: every test that is not slow, and the twenty slowest of each part. Integration runs beside the rest; each part
# has processes of its own, for torch, onnxruntime, OpenVINO, PyAV and a browser's driver of all parts together are in no user's
# process. Integration has two workers, for it lasts longest; the rest has two that give way to them.
python=$1
log=$(mktemp)
EARNEST_TRACES=$(mktemp -d) # graphs that all processes of this run share, see tests/traced_once.py
export EARNEST_TRACES
"$python" -m pytest -W error -m 'not slow' --durations=20 -n 2 --dist loadfile tests/integration >"$log" 2>&1 &
beside=$!
trap 'kill $beside 2>/dev/null; rm -rf "$log" "$EARNEST_TRACES"; exit 1' INT TERM
failed=0
for part in "tests/unit tests/property tests/golden" tests/contracts; do
  # shellcheck disable=SC2086 # a list of folders
  nice -n 10 "$python" -m pytest -W error -m 'not slow' --durations=20 -n 2 --dist loadfile $part || failed=1
done
wait $beside || failed=1
cat "$log"
rm -rf "$log" "$EARNEST_TRACES"
exit $failed
