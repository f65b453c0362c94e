#!/bin/sh
# run_tests.sh PYTHON: every test that is not slow, and the twenty slowest of each part. Integration runs beside the rest; each part
# has processes of its own, for torch, onnxruntime, OpenVINO, PyAV and a browser's driver of all parts together are in no user's
# process. Integration has two workers, for it lasts longest; the rest has two that give way to them. Browsers, windows, servers and
# the clocks of tests share two cores with all else: what fails is run once more, alone, and has to pass then. Both runs are shown.
python=$1
logs=$(mktemp -d)
# What one process has compiled, and what pytest made of its asserts, is kept for the hundreds of others, also where an image says no.
unset PYTHONDONTWRITEBYTECODE
EARNEST_TRACES=$(mktemp -d) # graphs that all processes of this run share, see tests/traced_once.py
export EARNEST_TRACES
beside="-n 2 --dist loadfile --durations=20"
run() { # NICENESS "PYTEST'S OPTIONS" FOLDER ...
  niceness=$1 options=$2
  shift 2
  # shellcheck disable=SC2086 # several options
  nice -n "$niceness" "$python" -m pytest -W error -m 'not slow' -o cache_dir="$logs/$(basename "$1")" $options "$@"
}
again() { # FOLDER ...
  echo "Once more, alone, what failed beside the rest:"
  run 0 "--last-failed --last-failed-no-failures=none --maxfail=3" "$@"
}
run 0 "$beside" tests/integration >"$logs/first" 2>&1 &
integration=$!
trap 'kill $integration 2>/dev/null; rm -rf "$logs" "$EARNEST_TRACES"; exit 1' INT TERM
# Few files, some of them long: who is done first leaves its core to integration. The last part has many short ones.
run 10 "$beside" tests/contracts
contracts=$?
run 10 "$beside" tests/unit tests/property tests/golden
unit=$?
wait $integration
integration=$?
cat "$logs/first"
failed=0
[ $unit -eq 0 ] || again tests/unit tests/property tests/golden || failed=1
[ $contracts -eq 0 ] || again tests/contracts || failed=1
[ $integration -eq 0 ] || again tests/integration || failed=1
rm -rf "$logs" "$EARNEST_TRACES"
exit $failed
