"""Score a file of a million predictions, beside pandas and scikit-learn: seconds and peak memory, one core.

    python benchmarks/score_rows.py [--rows 1000000] [--file FILE]

Makes the file (eight classes, 1,000 speakers, probabilities, one row in fifty without an answer) and scores it in a
process of its own for each way of doing so. The other way reads the file with pandas, computes the same scores with
scikit-learn and no intervals; where pandas is not installed, it is left out.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):  # read when the libraries are loaded
    os.environ[variable] = "1"

import numpy as np  # noqa: E402

from earnest.evaluation.answers import same_text, text_column  # noqa: E402
from earnest.evaluation.predictions import Predictions, write_predictions  # noqa: E402
from earnest.labels import CORE_EMOTIONS  # noqa: E402

N_SPEAKERS = 1000
EARNEST = """
import sys
from earnest.apps.cli.main import cli
cli(["score", sys.argv[1], "--json"], standalone_mode=False)
"""
PANDAS = """
import sys
import pandas
from sklearn import metrics
table = pandas.read_csv(sys.argv[1])
true, predicted = table["emotion"], table["predicted"].fillna("")
classes = sorted(set(true))
print(metrics.accuracy_score(true, predicted), metrics.recall_score(true, predicted, labels=classes, average="macro"))
print(metrics.f1_score(true, predicted, labels=classes, average="macro"))
print(metrics.confusion_matrix(true, predicted, labels=[*classes, ""]))
for name, rows in table.groupby("fold"):
    print(name, (rows["emotion"] == rows["predicted"]).mean())
assert table["utterance_id"].is_unique
known = table.filter(like="p_").dropna()
print(metrics.roc_auc_score(true[known.index], known[["p_" + name for name in classes]], multi_class="ovr"))
"""
# Linux. Not getrusage: its ru_maxrss of a new process begins with the memory of this one, which made the file.
MEASURE = "\nprint(open('/proc/self/status').read().partition('VmHWM:')[2].split()[0], file=sys.stderr)"


def main() -> None:
    """Print a table of seconds and megabytes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--file", type=Path, help="Where the file is kept; without it, it is removed again.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = options.file or Path(folder) / "predictions.csv"
        start = time.perf_counter()
        write_predictions(made_up(options.rows), path)
        say(f"{options.rows:,} rows, {path.stat().st_size / 1e6:.0f} MB, made in {time.perf_counter() - start:.1f} s")
        ours = measured(EARNEST, path)
        say(f"earnest score: {ours[0]:.1f} s of CPU, at most {ours[1]:.0f} MB")
        if find_spec("pandas") is None:
            say("pandas is not installed: nothing to compare with")
            return
        theirs = measured(PANDAS, path)
        say(f"pandas and scikit-learn: {theirs[0]:.1f} s of CPU, at most {theirs[1]:.0f} MB")
        say(f"earnest / pandas: {ours[0] / theirs[0]:.2f} of the time, {ours[1] / theirs[1]:.2f} of the memory")


def made_up(n_rows: int) -> Predictions:
    """Return predictions that are right half of the time."""
    rng = np.random.default_rng(0)
    n_classes = len(CORE_EMOTIONS)
    emotion = rng.integers(n_classes, size=n_rows)
    scores = rng.random((n_rows, n_classes), dtype=np.float32)
    scores[np.arange(n_rows), emotion] += 0.6
    probabilities = scores / scores.sum(axis=1, keepdims=True)
    answered = rng.random(n_rows) >= 0.02
    probabilities[~answered] = np.nan
    speaker = rng.integers(N_SPEAKERS, size=n_rows)
    return Predictions(
        classes=CORE_EMOTIONS,
        utterance_id=text_column(f"speaker-{who:04d}/clip-{index:08d}" for index, who in enumerate(speaker)),
        corpus=same_text("made-up", n_rows),
        speaker=text_column(f"speaker-{who:04d}" for who in speaker),
        gender=text_column(("female", "male")[who % 2] for who in speaker),
        fold=text_column(f"f{who % 5 + 1}" for who in speaker),
        emotion=emotion,
        predicted=np.where(answered, np.nan_to_num(probabilities).argmax(axis=1), -1),
        probabilities=probabilities,
    )


def measured(code: str, path: Path) -> tuple[float, float]:
    """Run code on a file in a fresh process; return its seconds of CPU and its peak memory in MB."""
    before = os.times()
    done = subprocess.run(
        [sys.executable, "-c", code + MEASURE, str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=True
    )
    after = os.times()
    seconds = after.children_user + after.children_system - before.children_user - before.children_system
    return seconds, int(done.stderr.split()[-1]) / 1024  # from KiB


def say(line: str) -> None:
    """Write a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
