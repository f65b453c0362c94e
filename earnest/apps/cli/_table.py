"""The commands in groups, with their help lines: what ``earnest --help`` shows without importing any of them.

A command's line is the first line of its own docstring; a test holds both equal. A command without a line here still
works, and stands under "Other" without one.
"""

from collections.abc import Iterable, Mapping

OTHER = "Other"
LONGEST_LINE = 63  # letters that fit beside the longest name, in a terminal of 80 columns

GROUPS: Mapping[str, Mapping[str, str]] = {
    "Recognise": {
        "predict": "Tell the emotion of recordings.",
        "timeline": "Tell the emotion over time of a recording of any length.",
        "listen": "Tell emotions live, until Ctrl-C or the end of the pipe.",
        "models": "List bundles and networks.",
    },
    "Own data": {
        "learn": "Learn a model of your own from labelled recordings; test it.",
        "embed": "Write the embeddings of recordings.",
        "adapt": "Save a profile of a speaker or a channel, without labels.",
        "import": "Take over weights that others published, tensor by tensor.",
    },
    "Corpora and training": {
        "corpus": "List, describe, check, draw, convert and download corpora.",
        "split": "Write a protocol's splits, or search split files for leaks.",
        "train": "Train one model on one split, or go on with a killed run.",
        "tune": "Try the settings of a recipe's [tune] table, or go on.",
        "evaluate": "Train and score every fold of a protocol, or go on.",
        "cache": "Show or clear what training keeps of recordings on disk.",
        "export": "Export a trained model as one graph with its metadata.",
        "parity": "Compare torch with onnxruntime, clips alone and in batches.",
    },
    "Measure": {
        "score": "Score a predictions file, ours or anybody's.",
        "compare": "Compare results with the first one, clip by clip.",
        "report": "Write one self-contained HTML page about results.",
        "stress": "Answer test clips again, changed in thirty ways.",
        "streams": "Adapt to streams of test clips with any shares of emotions.",
        "bench": "Measure latency, start, throughput, long sound and memory.",
    },
    "Applications": {
        "desktop": "Open the window: files, folders, microphone, corrections.",
        "batch": "Answer a million recordings, by many processes or machines.",
        "serve": "Answer over HTTP and WebSocket, until SIGTERM or Ctrl-C.",
        "edge": "Tell emotions on a small device, with OpenVINO alone.",
        "spectrogram": "Draw the log-mel spectrogram that the model's network hears.",
    },
}


def grouped(names: Iterable[str]) -> dict[str, list[tuple[str, str]]]:
    """Return group → (name, help line) of the commands that there are; groups without any are left out."""
    left = set(names)
    groups = {group: [(name, line) for name, line in lines.items() if name in left] for group, lines in GROUPS.items()}
    told = {name for rows in groups.values() for name, _ in rows}
    groups[OTHER] = [(name, "") for name in sorted(left - told)]
    return {group: rows for group, rows in groups.items() if rows}
