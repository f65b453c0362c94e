#!/bin/sh
# run_tests.sh PYTHON: every test that is not slow, and the twenty slowest of each part. Integration runs beside the rest; each part
# has processes of its own, for torch, onnxruntime, OpenVINO, PyAV and a browser's driver of all parts together are in no user's
# process. Integration has two workers, for it lasts longest; the rest has two that give way to them. There browsers, windows and
# servers share two cores with all else: what fails is run once more, alone, and has to pass then. Both runs are shown.
python=$1
logs=$(mktemp -d)
EARNEST_TRACES=$(mktemp -d) # graphs that all processes of this run share, see tests/traced_once.py
export EARNEST_TRACES
integration() {
  "$python" -m pytest -W error -m 'not slow' -o cache_dir="$logs/cache" "$@" tests/integration
}
integration --durations=20 -n 2 --dist loadfile >"$logs/first" 2>&1 &
beside=$!
trap 'kill $beside 2>/dev/null; rm -rf "$logs" "$EARNEST_TRACES"; exit 1' INT TERM
failed=0
for part in "tests/unit tests/property tests/golden" tests/contracts; do
  # shellcheck disable=SC2086 # a list of folders
  nice -n 10 "$python" -m pytest -W error -m 'not slow' --durations=20 -n 2 --dist loadfile $part || failed=1
done
wait $beside
first=$?
cat "$logs/first"
if [ $first -ne 0 ]; then
  echo "Once more, alone, what failed beside the rest:"
  integration --last-failed --last-failed-no-failures=none --maxfail=3 || failed=1
fi
rm -rf "$logs" "$EARNEST_TRACES"
exit $failed
