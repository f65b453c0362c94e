"""Try what one extra is for, beside what `scripts/smoke.py` tries; run by the Python whose environment is tried.

An extra that is new and not among TRIALS has been installed and tried by smoke.py; that is said.
"""

import contextlib
import functools
import http.server
import importlib.metadata
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import earnest
from earnest.testing.sounds import write_voice

DEMO = Path(earnest.__file__).parent / "demo"
CLIP = DEMO / "whispered.flac"
SAID = "angry"  # about CLIP, in the README
EMOTIONS = {"01": "neutral", "02": "calm", "03": "happy", "04": "sad", "05": "angry", "06": "fearful", "07": "disgust"}
SPEAKERS = 24


def command(*words: str | Path, code: int = 0) -> str:
    """Run the console script ``earnest``; return what it wrote."""
    script = Path(sys.executable).with_name("earnest")
    done = subprocess.run([script, *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == code, f"earnest {' '.join(map(str, words))}: {done.stderr[-2000:]}"
    return done.stdout + done.stderr


def emotion(*words: str | Path) -> str:
    """Return the emotion of one recording by `earnest predict`."""
    return str(json.loads(command("predict", *words, "--json", "--quiet").splitlines()[0])["emotion"])


def light() -> str:
    """Find the recipes by name, and say what is missing with a command that works."""
    said = command("train", "emocatcher", "--output", "run", code=1)
    assert "Install them with: pip install './earnest-" in said, said
    assert "no recipe of this name" in command("train", "emocatchr", "--output", "run", code=1)
    return "Recipes by name, and the word for what is missing."


def media() -> str:
    """Nothing more: smoke.py hears AAC where av is installed."""
    return f"av {importlib.metadata.version('av')}."


def client() -> str:
    """Try the client without a server: one sentence says that nobody answers."""
    from earnest.client import Client

    try:
        with Client("http://127.0.0.1:9") as asking:
            asking.predict(CLIP)
    except earnest.EarnestError as error:
        return f"Client: {error}"
    raise AssertionError("a server that is not there answered")


def live() -> str:
    """List microphones, or say why there are none."""
    import sounddevice

    return f"sounddevice {sounddevice.__version__} with {sounddevice.get_portaudio_version()[1]}."


def parquet() -> str:
    """Write Parquet and read it again."""
    import pyarrow.parquet

    command("predict", CLIP, "-o", "rows.parquet")
    (row,) = pyarrow.parquet.read_table("rows.parquet").to_pylist()
    assert row["emotion"] == SAID, row
    return "A row in Parquet."


def report() -> str:
    """Draw a timeline, and write the page of a predictions file."""
    rows = [
        f"{n},{speaker},{what},{what}"
        for n, (speaker, what) in enumerate(zip("abab", ["sad", "happy"] * 2, strict=True))
    ]
    Path("predictions.csv").write_text("\n".join(["utterance_id,speaker,emotion,predicted", *rows]) + "\n")
    command("report", "predictions.csv", "--output", "page.html")
    command("timeline", CLIP, "--plot", "line.png")
    assert Path("line.png").read_bytes().startswith(b"\x89PNG")
    return f"A page of {Path('page.html').stat().st_size // 1000} kB, and a picture."


def server() -> str:
    """Have the page, where the wheel holds it; smoke.py asks the server."""
    from earnest.apps.server.page import is_built

    return "With the page." if is_built() else "Without the page."


def openvino() -> str:
    """Answer with OpenVINO."""
    assert emotion(CLIP, "--backend", "openvino") == SAID
    assert SAID in command("edge", CLIP)
    return "predict and edge."


def image() -> str:
    """Draw a spectrogram and hear it."""
    command("spectrogram", CLIP, "-o", "clip.png")
    assert emotion("clip.png") == SAID
    return "A spectrogram, drawn and heard."


def _ravdess(folder: Path) -> Path:
    for actor in range(1, SPEAKERS + 1):
        for number, code in enumerate(EMOTIONS):
            path = folder / f"Actor_{actor:02d}" / f"03-01-{code}-01-01-01-{actor:02d}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_voice(path, 0.7, seed=100 * actor + number)
    return folder


def train() -> str:
    """Train a recipe by name on made-up voices, export it, and ask the bundle."""
    run, bundle = Path("run"), Path("bundle")
    short = ("--set", "training.epochs=1", "--data", f"ravdess={_ravdess(Path('ravdess'))}")
    command("train", "emocatcher", *short, "--output", run)
    command("export", run, "--output", bundle)
    assert emotion(CLIP, "--model", bundle, "--no-abstain")
    return "emocatcher by name: trained, exported, asked."


def ssl() -> str:
    """Build a network of transformers."""
    from earnest.testing import check_model

    check_model("ssl")
    return "The model 'ssl' keeps its promises."


def quantise() -> str:
    """Have NNCF, and answer with OpenVINO."""
    import nncf

    assert emotion(CLIP, "--backend", "openvino") == SAID
    return f"nncf {nncf.__version__}."


def desktop() -> str:
    """Open the window without a screen, until it has answered."""
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    said = command("desktop", CLIP, "--folder", "window", "--until-answered", "--json", "--quiet")
    assert json.loads(said.splitlines()[0])["emotion"] == SAID, said
    return "The window answers."


def _batch(source: str, *more: str) -> str:
    """Answer with `earnest batch`; return the emotion of the first row."""
    import pyarrow.parquet

    command("batch", source, "--output", "answers", "--jobs", "1", "--quiet", *more)
    (shard,) = Path("answers", "shards").glob("*.parquet")
    return str(pyarrow.parquet.read_table(shard).to_pylist()[0]["emotion"])


def cloud() -> str:
    """Answer recordings of a list, behind an address, and have what speaks with S3."""
    import s3fs

    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(DEMO))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        Path("list.txt").write_text(f"http://127.0.0.1:{server.server_port}/{CLIP.name}\n")
        assert _batch("list.txt") == SAID
        server.shutdown()
    return f"batch over http; s3fs {s3fs.__version__}."


def ray() -> str:
    """Answer on a Ray cluster of this machine."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    Path("list.txt").write_text(f"{CLIP}\n")
    assert _batch("list.txt", "--engine", "ray") == SAID
    return "batch --engine ray."


def pandas() -> str:
    """Turn answers into a frame."""
    frame = earnest.load().predict_many([str(CLIP)]).to_pandas()
    assert frame["emotion"].tolist() == [SAID], frame
    return "A frame of pandas."


def polars() -> str:
    """Turn answers into a frame."""
    frame = earnest.load().predict_many([str(CLIP)]).to_polars()
    assert frame["emotion"].to_list() == [SAID], frame
    return "A frame of polars."


def sklearn() -> str:
    """Fit a classifier on embeddings of the demo recordings, in a pipeline."""
    from sklearn.pipeline import make_pipeline

    from earnest.sklearn import EmotionClassifier, EmotionEmbedder

    clips = [str(path) for path in sorted(DEMO.glob("*.flac")) if path != CLIP]
    labels = ["one", "two"] * (len(clips) // 2)
    fitted = make_pipeline(EmotionEmbedder("small"), EmotionClassifier()).fit(clips[: len(labels)], labels)
    assert set(fitted.predict(clips)) <= {"one", "two"}
    return "A pipeline of scikit-learn."


TRIALS: dict[str, Callable[[], str]] = {
    trial.__name__: trial
    for trial in (
        *(light, media, train, ssl, report, live, desktop, parquet, cloud, ray, pandas, polars, sklearn),
        *(server, client, openvino, quantise, image),
    )
}


def main(extra: str) -> None:
    """Try one extra."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        said = TRIALS[extra]() if extra in TRIALS else "No trial of its own in scripts/wheel_trials.py."
    sys.stdout.write(f"{said}\n")


if __name__ == "__main__":
    main(sys.argv[1])
