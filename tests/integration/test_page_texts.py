"""What the page writes is what Python writes: files of timelines, colours; and both dark palettes are one."""

import csv
import json
import re
import shutil
import subprocess
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import harness
import pytest

from earnest.files.writing import held_folder
from earnest.runtime.formats import csv_header, csv_line
from earnest.runtime.prediction import Prediction, Segment, Span, VocalBurst, Window
from earnest.runtime.timeline import FORMATS, Timeline
from earnest.runtime.timeline_plot import COLOURS

PAGE = harness.WEB / "page"
SCRIPT = """
import { readFileSync } from "node:fs";
const { FORMATS } = await import(process.argv[1]);
const timelines = JSON.parse(readFileSync(0, "utf8"));
const names = Object.keys(FORMATS);
const all = (timeline) => Object.fromEntries(names.map((name) => [name, FORMATS[name].written(timeline)]));
console.log(JSON.stringify(timelines.map(all)));
"""


@pytest.fixture(scope="module")
def built_texts(built: None) -> Path:
    texts = harness.WEB / "node_modules" / ".cache" / "texts"  # where no other test builds
    with held_folder(harness.WEB, harness.LONGEST_BUILD_S):
        harness.npm("exec", "--", "node", "build.mjs", "--tests")
        return Path(shutil.copytree(harness.WEB / "build" / "page", texts, dirs_exist_ok=True))


def by_node(script: str, *arguments: str, told: str = "") -> Any:
    command = ["node", "--input-type=module", "--eval", script, *arguments]
    done = subprocess.run(command, input=told, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def timeline(path: str, duration_s: float, *spans: Span) -> Timeline:
    shares = {"neutral": 0.25, "happy": 1 / 3, "sad": 5 / 12}
    prediction = Prediction(
        path,
        "ok",
        duration_s,
        3.25,
        "sad",
        5 / 12,
        shares,
        -1 / 12,
        quality=("noisy", "not-adapted"),
        shares={"sad": 2 / 3, "unsure": 1 / 3},
        vocal_bursts=(VocalBurst(0.25, 0.75, "laughter", 2 / 3),),
        model="small",
    )
    windows = tuple(Window(span.start_s, span.end_s, shares) for span in spans)
    segments = tuple(Segment(span.start_s, span.end_s) for span in spans)
    return Timeline(prediction, spans, windows, segments, "silero", tuple(shares))


TIMELINES = [
    timeline(
        "interview.mp3",
        12.5,
        Span(0.96, 4.16, "angry", 2 / 3),
        Span(4.16, 9.0, "sad", 0.5),
        Span(9.5, 12.5, "happy", 1.0),
    ),
    timeline("nobody.flac", 3.0),
    timeline("folder/a, b.tar.wav", 7_384.123, Span(3_599.999, 7_384.063, "fearful", 0.123456789)),
    timeline(
        'say "ah" & <b>.m4a',
        2.0,
        Span(0.0, 1.0, 'a "b" & <c>', 0.333333333),
        Span(1.0, 2.0, "two\n\nlines\tand  tab", 0.1),
    ),
    timeline(
        "=1+1\r.wav",
        3.0,
        Span(0.0, 1.0, "-a", 0.5),
        Span(1.0, 2.0, "''@b", 0.5),
        Span(2.0, 3.0, "＋c", 0.5),
    ),
    timeline("-", 0.0, Span(0.0, 0.5, "\t=d", 0.25)),
    timeline("calls/Gespräch 1.wav#2", 2.0, Span(0.5, 2.0, "happy", 0.75)),  # one channel by itself
    timeline(".hidden", 0.0, Span(0.0, 0.5, "\n \n", 0.25)),
    timeline("halves.wav", 4.0625, Span(0.0625, 2.0625, "a\x1cb", 0.3125), Span(2.1875, 4.0625, "\ufeffc", 0.1171875)),
    timeline("control.wav", 2.0, Span(0.0, 2.0, "an\0g\x1bry\ufffe 😀", 0.75)),
]


@pytest.mark.parametrize("form", FORMATS)
def test_a_timelines_file_is_the_same_from_the_page_and_from_python(form: str, built_texts: Path) -> None:
    told = json.dumps([item.to_dict() for item in TIMELINES])
    found = by_node(SCRIPT, str(built_texts / "exports.js"), told=told)
    for texts, item in zip(found, TIMELINES, strict=True):
        assert set(texts) == set(FORMATS)
        expected = Timeline.from_dict(item.to_dict()).to(form)
        if form in ("json", "jsonl"):  # Python writes 1.0 where JavaScript writes 1
            assert without_point(texts[form]) == without_point(expected)
        else:
            assert texts[form] == expected


def test_the_table_of_all_recordings_reads_back_as_that_of_predict(built_texts: Path) -> None:
    script = """
        import { readFileSync } from "node:fs";
        const { rows } = await import(process.argv[1]);
        console.log(JSON.stringify(rows(JSON.parse(readFileSync(0, "utf8")))));
    """
    gender, affect = {"female": 0.75, "male": 0.25}, {"valence": 0.5, "arousal": 0.25, "dominance": None}
    heard = replace(TIMELINES[0].prediction, gender=gender, affect=affect, affect_derived=True, intensity=0.5)
    failed = Prediction("=bad, so.wav", "error", model="small", error='bad, so.wav: no "sound".')
    all_ = [heard, failed, *(item.prediction for item in TIMELINES[1:])]
    told = json.dumps([one.to_dict() for one in all_])
    found = list(csv.DictReader(StringIO(by_node(script, str(built_texts / "exports.js"), told=told), newline="")))
    classes = tuple(TIMELINES[0].classes)
    python = "\n".join([csv_header(classes), *(csv_line(one, classes) for one in all_)])
    expected = list(csv.DictReader(StringIO(python, newline="")))
    assert list(found[0]) == list(expected[0])
    assert [{name: read(text) for name, text in row.items()} for row in found] == [
        {name: read(text) for name, text in row.items()} for row in expected
    ]


def read(text: str) -> Any:
    """Return a number, or JSON, where a cell holds one: Python writes 1.0 where JavaScript writes 1."""
    try:
        return json.loads(text, parse_int=float, parse_float=lambda number: round(float(number), 6))
    except ValueError:
        return text


def without_point(text: str) -> str:
    return re.sub(r"(\d)\.0\b", r"\1", text)


def test_an_emotion_has_the_same_colour_as_in_pythons_plots(built_texts: Path) -> None:
    script = "console.log(JSON.stringify((await import(process.argv[1])).COLOURS));"
    assert by_node(script, str(built_texts / "emotions.js")) == COLOURS


def test_the_switch_and_the_system_give_the_same_dark_colours() -> None:
    text = (PAGE / "style" / "colours.css").read_text("utf-8")
    blocks = [re.findall(r"--?[\w-]+: [^;]+", block) for block in re.findall(r"\{([^{}]*)\}", text)]
    light, system, switch = blocks
    assert system == switch
    assert len(system) == len(light)


def test_every_id_that_the_scripts_ask_for_is_in_the_page() -> None:
    ids = re.findall(r'\bid="([\w-]+)"', (PAGE / "index.html").read_text("utf-8"))
    assert len(ids) == len(set(ids))
    scripts = "".join(path.read_text("utf-8") for path in (PAGE / "src").glob("**/*.ts"))
    asked = set(re.findall(r'(?:byId(?:<\w+>)?|onClick)\("([\w-]+)"', scripts))
    assert asked
    assert asked <= set(ids)


def test_the_page_loads_nothing_from_elsewhere_and_has_no_inline_code() -> None:
    text = (PAGE / "index.html").read_text("utf-8")
    assert not re.search(r"https?://|<style|style=|\son\w+=|<script(?! type=\"module\" src=\"page.js\")", text)
