"""The registry: every reader of what comes from outside, with seeds that are made by code."""

import io
import json
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import numpy as np

from fuzz.sounds import AUDIO, MEDIA, media_file, sound_file

Seeds = Callable[[], tuple[bytes, ...]]
ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Reader:
    """One reader.

    Attributes
    ----------
    file : name of what is damaged, in a folder of its own
    seeds : make what it can read
    read : called with the path of the file
    beside : writes what else the folder must hold
    kind : of the file; see `fuzz.mutations.damaged`
    costly : a decoder or a model: native code, so it is run in a child process
    """

    name: str
    file: str
    seeds: Seeds
    read: Callable[[Path], object]
    beside: Callable[[Path], object] = field(default=lambda _: None)
    kind: Literal["json", "lines", "toml", "csv", "text", "bytes"] = "bytes"
    costly: bool = False

    def call(self, folder: Path, data: bytes) -> None:
        """Write ``data`` into a folder that `beside` has prepared, and read it."""
        path = folder / self.file
        path.write_bytes(data)
        self.read(path)


def _texts(*texts: str) -> Seeds:
    return lambda: tuple(text.encode() for text in texts)


def _audio() -> list[Reader]:
    from earnest.audio.feed import open_pipe
    from earnest.audio.io import decode, load_waveform, open_audio
    from earnest.audio.media_file import HEAD_BYTES, media_format
    from earnest.audio.parts import PartReader
    from earnest.audio.sound_file import is_joined, missing_bytes
    from earnest.audio.source import Part
    from earnest.errors import EarnestError
    from earnest.runtime.picture import Picture, SeenSegment, SeenWindow, read_picture

    def streamed(path: Path) -> None:
        with open_audio(path, 30.0) as stream:
            for _ in stream.blocks:
                pass

    def parts(path: Path) -> None:
        """Begin amid it, go on, go back; what is wrong with one part says nothing of the next."""
        reader, errors = PartReader(), list[EarnestError]()
        with reader.kept_open():
            for start_s, end_s in ((0.03, 0.05), (0.04, 0.06), (0.0, 0.02), (0.05, None)):
                try:
                    load_waveform(Part(path, start_s, end_s), 8_000, 30.0, reader.open_audio)
                except EarnestError as error:
                    errors.append(error)
        if errors:
            raise errors[0]

    def piped(path: Path) -> None:
        with path.open("rb") as file:
            for _ in open_pipe(file, 16_000, 1).chunks:
                pass

    def looked_at(path: Path) -> None:
        with path.open("rb") as file:
            media_format(file.read(HEAD_BYTES))
            missing_bytes(file)
            is_joined(file)

    def pictures() -> tuple[bytes, ...]:
        log_mel = np.random.default_rng(0).normal(-40, 10, (8, 20)).astype(np.float32)
        whole = Picture(log_mel, {"n_fft": 400}, 0.2)
        windows = SeenWindow(0, 1_600, 8), SeenWindow(800, 3_200, 12)
        return whole.to_png(), replace(whole, segments=(SeenSegment(0, 3_200, windows),)).to_png()

    decoders: list[Reader] = [
        Reader(f"audio {suffix}", f"clip.{suffix}", lambda suffix=suffix: (sound_file(suffix),), streamed, costly=True)
        for suffix in AUDIO
    ]
    decoders += [
        Reader(f"media {suffix}", f"clip.{suffix}", lambda suffix=suffix: (media_file(suffix),), streamed, costly=True)
        for suffix in MEDIA
    ]
    whole = [
        ("decode", lambda path: decode(path.read_bytes(), 30.0)),
        ("load_waveform", parts),
    ]
    every = tuple(AUDIO)
    decoders += [
        Reader(name, "clip", lambda: tuple(map(sound_file, every)), read, costly=True)  # type: ignore[arg-type]
        for name, read in whole
    ]
    return [
        *decoders,
        Reader("pipe", "sound", lambda: (sound_file("wav"), bytes(2000)), piped),
        Reader("missing_bytes", "sound", lambda: tuple(map(sound_file, every)), looked_at),
        Reader("spectrogram picture", "clip.png", pictures, read_picture, costly=True),
    ]


def _bundles() -> list[Reader]:
    from stand_in import CLASSES, CUTTABLE_FRONT_END, cuttable_model, stand_in_adaptation, stand_in_model, write_bundle

    from earnest.bundle import BundleInfo, load_bundle, sha256_of
    from earnest.learning.domain import Domain
    from earnest.onnx.check import check_onnx
    from earnest.onnx.surgery import part_of
    from earnest.runtime.adaptation import Adaptation
    from earnest.runtime.graph import Graph, engine_for
    from earnest.runtime.profile import Profile

    def description() -> tuple[bytes, ...]:
        info = BundleInfo("stand-in", "1", CLASSES, 16_000, "CC0-1.0", {})
        digest = sha256_of(stand_in_model().SerializeToString())
        whole = replace(info, files={"model.onnx": digest}, front_end=CUTTABLE_FRONT_END)
        shipped = (ROOT / "earnest" / "bundles" / "small" / "bundle.json").read_bytes()
        return (json.dumps(whole.to_dict()).encode(), shipped)

    def models() -> tuple[bytes, ...]:
        return tuple(model.SerializeToString() for model in (stand_in_model(sound=True), cuttable_model()))

    def checked(path: Path) -> None:
        data = path.read_bytes()
        check_onnx(data, path)
        part_of(data, "front_end")

    def run(path: Path) -> None:
        data = path.read_bytes()
        description = json.loads((path.parent / "bundle.json").read_text())
        description["files"] = {"model.onnx": sha256_of(data)}
        (path.parent / "bundle.json").write_text(json.dumps(description))
        bundle = load_bundle(path.parent)
        Graph(bundle, engine_for(bundle)).run([np.zeros(4_000, np.float32)])

    def described() -> tuple[bytes, ...]:
        return (_openvino_files()["model.xml"],)

    def run_openvino(path: Path) -> None:
        files = {**_openvino_files(), "model.xml": path.read_bytes()}
        digests = {name: sha256_of(data) for name, data in files.items()}
        for name, data in files.items():
            (path.parent / name).write_bytes(data)
        info = BundleInfo("stand-in", "1", CLASSES, 16_000, "CC0-1.0", digests, format="openvino")
        (path.parent / "bundle.json").write_text(json.dumps(info.to_dict()))
        bundle = load_bundle(path.parent)
        Graph(bundle, engine_for(bundle)).run([np.zeros(4_000, np.float32)])

    def adapt(path: Path) -> None:
        Adaptation.read(path.read_bytes(), len(CLASSES), "bundle").answer(np.full((3, len(CLASSES)), 1 / len(CLASSES)))

    rows = np.full((3, len(CLASSES)), 1 / len(CLASSES))
    profile = Profile.of("stand-in", "1", CLASSES, 9.0, rows, np.array([1.0, 0.5, 0.25]))
    domain = Domain(np.zeros(3, np.float32), np.ones((2, 3), np.float32), 1.0, 3.0)
    return [
        Reader("bundle.json", "bundle.json", description, lambda path: load_bundle(path.parent), write_bundle, "json"),
        Reader("onnx_file", "model.onnx", models, checked),
        Reader("model.onnx", "model.onnx", models, run, write_bundle, costly=True),
        Reader("model.xml", "model.xml", described, run_openvino, kind="text", costly=True),
        Reader("adaptation.onnx", "adaptation.onnx", lambda: (stand_in_adaptation(),), adapt, costly=True),
        Reader("profile", "voice.json", _texts(profile.to_json()), Profile.read, kind="json"),
        Reader(
            "domain.npy",
            "domain.npy",
            lambda: (domain.to_bytes(),),
            lambda path: Domain.read(domain.entry(), path.read_bytes(), "bundle"),
        ),
    ]


@cache
def _openvino_files() -> Mapping[str, bytes]:
    """Return what OpenVINO makes of the stand-in."""
    from tempfile import TemporaryDirectory

    from stand_in import stand_in_model

    from earnest.runtime.openvino_engine import openvino

    with TemporaryDirectory() as folder:
        model = openvino().Core().read_model(stand_in_model().SerializeToString())
        openvino().save_model(model, str(Path(folder) / "model.xml"), compress_to_fp16=False)
        return {name: (Path(folder) / name).read_bytes() for name in ("model.xml", "model.bin")}


def _settings() -> list[Reader]:
    from earnest.settings.recipe import read_recipe_and_tune
    from research.distillation import read_distillation
    from research.finetuning import read_finetuning

    def shipped(*names: str) -> Seeds:
        return lambda: tuple((ROOT / "recipes" / name).read_bytes() for name in names)

    tuned = b'\n[tune]\ntrials = 3\n[tune.ranges]\n"training.learning_rate" = {low = 1e-4, high = 1e-2, log = true}\n'
    recipes = shipped("base.toml", "emocatcher.toml", "emocatcher-noise.toml", "vino-densenet.toml")
    return [
        Reader("recipe", "recipe.toml", lambda: (*recipes(), recipes()[1] + tuned), read_recipe_and_tune, kind="toml"),
        Reader(
            "distillation settings",
            "recipe.toml",
            shipped("distillation/student.toml", "distillation/encoder.toml"),
            read_distillation,
            kind="toml",
        ),
        Reader("fine-tuning settings", "recipe.toml", shipped("finetuning/encoder.toml"), read_finetuning, kind="toml"),
    ]


def _annotations() -> dict[str, tuple[str, ...]]:
    """Return name of a file → what ELAN, Praat or Audacity might write there about a.wav."""
    from earnest.runtime.prediction import Prediction, Span
    from earnest.runtime.timeline import Timeline

    spans = (Span(0.0, 0.1, "happy", 0.9), Span(0.1, 0.2, "sad", 0.8))
    said = Timeline(Prediction("a.wav", "mixed", 0.2, 0.2), spans=spans, speakers=("anna", "bert"))
    text = "<ANNOTATION_VALUE>sad</ANNOTATION_VALUE>"
    refers = f'<REF_ANNOTATION ANNOTATION_ID="b" ANNOTATION_REF="a1">{text}</REF_ANNOTATION>'
    tier = f'<TIER TIER_ID="label@anna"><ANNOTATION>{refers}</ANNOTATION></TIER>'
    short = '"ooTextFile"\n"TextGrid"\n0\n1\n<exists>\n2\n"TextTier"\n"t"\n0\n1\n1\n0.5\n"x"\n'
    return {
        "a.eaf": (said.to_eaf(), said.to_eaf().replace("</ANNOTATION_DOCUMENT>", f"{tier}</ANNOTATION_DOCUMENT>")),
        "a.TextGrid": (said.to_textgrid(), f'{short}"IntervalTier"\n"label"\n0\n1\n1\n0\n0.1\n"happy"\n'),
        "a.txt": (said.to("audacity"),),
    }


def _turns() -> tuple[tuple[str, Literal["text", "json"], tuple[str, ...]], ...]:
    cues = (
        "00:00:00{0}500 --> 00:00:01{0}250\n<v Anna>Hello &amp; you\n\n01:02{0}5 --> 1:01:03{0}000\n[B]: <i>Bye</i>\n"
    )
    said = {"segments": [{"start": 0.5, "end": 1, "text": "a"}, {"start": 2, "end": 3, "text": "b", "speaker": "x"}]}
    offset = {"transcription": [{"offsets": {"from": 500, "to": 1000}, "text": "a"}]}
    lettered = {"utterances": [{"start": 500, "end": 1000, "text": "a", "speaker": "A"}]}
    numbered = {"results": {"utterances": [{"start": 0.5, "end": 1, "transcript": "a", "speaker": 0}]}}
    azures = {"recognizedPhrases": [{"offsetInTicks": 5e6, "durationInTicks": 9e6, "nBest": [{"display": "a"}]}]}
    word = {"word": "a", "startTime": "0s", "endTime": "0.5s", "speakerTag": 1}
    googles = {"results": [{"alternatives": [{"words": [word, {**word, "startTime": "2s", "endTime": "3s"}]}]}]}
    content = {"alternatives": [{"content": "a", "speaker": "S1"}]}
    matics = {
        "results": [{"type": "word", "start_time": 0, "end_time": 1, **content}, {"type": "punctuation", **content}]
    }
    labs = {
        "words": [
            {"text": "a", "type": "word", "start": 0, "end": 1, "speaker_id": "x"},
            {"text": " ", "type": "spacing"},
        ]
    }
    amazons = {"results": {"audio_segments": [{"start_time": "0.5", "end_time": "1", "speaker_label": "spk_0"}]}}
    transcripts = (said, offset, lettered, numbered, amazons, azures, googles, matics, labs)
    annotations = _annotations()
    return (
        (".srt", "text", (f"1\n{cues.format(',')}",)),
        (".vtt", "text", (f"WEBVTT\n\n{cues.format('.')}",)),
        (".json", "json", tuple(map(json.dumps, transcripts))),
        (".rttm", "text", ("SPEAKER a 1 0.5 1.25 <NA> <NA> anna <NA> <NA>\nSPEAKER a 1 2 1 x x b x x\n",)),
        (".tsv", "text", ("start\tend\ttext\n500\t1000\thello\n1000\t2000\t\n",)),
        (".TextGrid", "text", annotations["a.TextGrid"]),
        (".eaf", "text", annotations["a.eaf"]),
    )


def _tables() -> list[Reader]:
    from earnest.corpora.manifest import COLUMNS, read_manifest
    from earnest.corpora.own import read_own
    from earnest.corpora.own.tables import read_list
    from earnest.corpora.tables import TABLE_READERS
    from earnest.corpora.turns import read_turns
    from earnest.evaluation.split_files import read_plans

    def sounds(folder: Path) -> None:
        for name in ("a.wav", "b.wav"):
            (folder / name).write_bytes(sound_file("wav"))

    manifest = (
        ",".join(COLUMNS) + "\n"
        "a,a.wav,0.0,,made-up,made-up-1,female,,,happy,joy,,0.5,,,speech,,,\n"
        "b,b.wav,0.5,1.5,made-up,made-up-2,male,,,sad,sad,,,,,speech,,,\n"
    )
    plain = "path,emotion,speaker,start_s\na.wav,happy,1,\nb.wav,anger,2,0.01\n"
    split = {"protocol": "p", "fold": "f1", "speaker_independent": True, "dialogue_partners": False}
    split |= {"train": ["c/a"], "valid": ["c/b"], "test": [], "clips": {"c/a": {"speaker": "1", "sha256": "0"}}}
    lines = '{"path": "a.wav", "emotion": "happy"}\n{"path": "b.wav", "emotion": "sad", "valence": 0.5}'
    emobox = '{"key": "1", "dataset": "d", "wav": "a.wav", "emo": "happy"}'

    def in_folder(path: Path) -> None:
        read_own(path.parent)

    forms: tuple[tuple[str, str, str, Literal["csv", "lines"]], ...] = (
        ("csv", "table.csv", plain, "csv"),
        ("csv", "table.tsv", plain.replace(",", "\t"), "csv"),
        ("jsonl", "table.jsonl", lines, "lines"),
        ("audformat", "table.csv", "file,start,end,emotion\na.wav,0,0 days 00:00:01.5,happy\nb.wav,0,,sad\n", "csv"),
        ("emobox", "list.jsonl", emobox, "lines"),
    )
    found = [
        Reader(f"{form} {file}", file, _texts(text), TABLE_READERS[form], sounds, kind)
        for form, file, text, kind in forms
    ]
    return [
        Reader("manifest", "manifest.csv", _texts(manifest), read_manifest, kind="csv"),
        *found,
        Reader(
            "audiofolder",
            "metadata.csv",
            _texts("file_name,label\na.wav,happy\nb.wav,sad\n"),
            lambda path: TABLE_READERS["audiofolder"](path.parent),
            sounds,
            "csv",
        ),
        Reader(
            "own table",
            "own.csv",
            _texts("file,label,speaker_id,start_s\na.wav,x,1,\nb.wav,y,2,0.01\n"),
            read_own,
            sounds,
            "csv",
        ),
        Reader("own lines", "own.jsonl", _texts(lines), read_own, sounds, "lines"),
        Reader("own metadata", "metadata.csv", _texts("file_name,label\na.wav,x\nb.wav,y\n"), in_folder, sounds, "csv"),
        Reader("own audformat", "db.emotion.csv", _texts("file,emotion\na.wav,x\nb.wav,y\n"), in_folder, sounds, "csv"),
        Reader(
            "own list",
            "own.txt",
            _texts("a.wav happy anna\nb.wav sad bert\n", "# none\na.wav|happy\n"),
            read_list,
            sounds,
            "text",
        ),
        *(
            Reader(f"own annotation {file}", file, _texts(*seeds), read_own, sounds, "text")
            for file, seeds in _annotations().items()
        ),
        *(
            Reader(f"speaker turns{ending}", f"a{ending}", _texts(*seeds), read_turns, kind=kind)
            for ending, kind, seeds in _turns()
        ),
        Reader("split.json", "split.json", _texts(json.dumps(split)), lambda path: read_plans([path]), kind="json"),
        Reader(
            "split.csv",
            "fold1_train.csv",
            _texts("path,set,fold\na.wav,train,f1\nb.wav,test,f1\n", "utterance_id\na\nb\n"),
            lambda path: read_plans([path]),
            kind="csv",
        ),
    ]


def _scores() -> list[Reader]:
    from earnest.evaluation.importers import read_any, read_nkululeko, read_pipeline_output
    from earnest.evaluation.predictions import read_answers, read_predictions
    from earnest.evaluation.report import read_history
    from earnest.report.answers import read_answers_alone

    ours = (
        "utterance_id,corpus,speaker,gender,fold,emotion,predicted,p_happy,p_sad,adapted,predicted_gender,"
        "predicted_valence\na,c,1,female,f1,happy,happy,0.75,0.25,true,male,0.5\nb,c,2,,f1,sad,,,,false,,\n"
    )
    theirs = "file,start,end,happy,sad,predicted,truth\na.wav,0,1,0.9,0.1,happy,happy\nb.wav,0,1,0.2,0.8,sad,happy\n"
    piped = (
        '{"a.wav": [{"label": "happy", "score": 0.9}, {"label": "sad", "score": 0.1}]}',
        '[{"file": "a.wav", "predictions": [{"label": "happy", "score": 0.9}]}, {"path": "b.wav", "label": "sad"}]',
        '[["a.wav", [{"label": "happy", "score": 0.9}]]]',
    )
    lines = "\n".join(f'{{"file": "{name}.wav", "predictions": [{{"label": "sad", "score": 1}}]}}' for name in "ab")
    told = (
        "path,status,emotion,confidence,speech_s,shares,quality,error,p_sad,p_happy\n"
        'c/a.wav#1,ok,sad,"0,75",1.5,,noisy clipped,,0.75,0.25\n'
        'c/b.wav,mixed,,,3,"{""sad"": 0.5, ""happy"": 0.5}",,,0.5,0.5\nd/c.wav,error,,,,,,no sound,,\n'
    )
    spans = "path,start_s,end_s,emotion,confidence\na.wav,0.000,2.200,sad,0.75\na.wav,3.000,4.000,unsure,0.3\n"
    history = "epoch,train_loss,valid_loss\n" + "".join(f"{epoch},1.5,{2 - epoch / 10}\n" for epoch in range(1, 13))
    return [
        Reader("predictions.csv", "predictions.csv", _texts(ours), read_predictions, kind="csv"),
        Reader("answers", "answers.csv", _texts("path,predicted\na.wav,sad\n", ours), read_answers, kind="csv"),
        Reader("nkululeko", "results.csv", _texts(theirs), read_nkululeko, kind="csv"),
        Reader("pipeline JSON", "pipeline.json", _texts(*piped), read_pipeline_output, kind="json"),
        Reader("pipeline JSON lines", "pipeline.jsonl", _texts(lines), read_pipeline_output, kind="lines"),
        Reader("any answers", "answers", _texts(ours, theirs, *piped), read_any, kind="text"),
        Reader("table of predict", "emotions.csv", _texts(told, spans), read_answers_alone, kind="csv"),
        Reader("history.csv", "history.csv", _texts(history), read_history, kind="csv"),
    ]


def _written(name: str) -> Seeds:
    """Make a file of a result or a run."""
    from made_up_results import HISTORY, write_result, write_run

    def make() -> tuple[bytes, ...]:
        from tempfile import TemporaryDirectory

        with TemporaryDirectory() as folder:
            made = write_run(write_result(Path(folder) / "made"), history=HISTORY)
            return ((made / name).read_bytes(),)

    return make


def _reports() -> list[Reader]:
    from made_up_results import HISTORY, write_result, write_run

    from earnest.report.result import read_result

    def result(folder: Path) -> None:
        write_run(write_result(folder / "made"), history=HISTORY)

    def of_result(name: str, read: Callable[[Path], object], kind: Any) -> Reader:
        return Reader(f"report {name}", f"made/{name}", _written(name), read, result, kind)

    spread = {"mean": 0.5, "sd": 0.1}
    noise = {"n": 3, "levels": [{"snr_db": level, "wa": spread, "ua": spread, "n": 3} for level in (None, 5.0, 0.0)]}

    def noisy(folder: Path) -> None:
        write_result(folder / "made")

    return [
        of_result("predictions.csv", lambda path: read_result(path.parent), "csv"),
        of_result("metrics.json", lambda path: read_result(path.parent), "json"),
        of_result("run.json", lambda path: read_result(path.parent), "json"),
        of_result("history.csv", lambda path: read_result(path.parent), "csv"),
        Reader(
            "report metrics-noise.json",
            "made/metrics-noise.json",
            _texts(json.dumps(noise)),
            lambda path: read_result(path.parent),
            noisy,
            "json",
        ),
    ]


def _runs() -> list[Reader]:
    from earnest.corpora.manifest import Utterance
    from earnest.evaluation.splits import Split
    from earnest.experiments.finished import Finished
    from earnest.experiments.tune import SELECTED, selected_settings
    from earnest.export.bundle import split_clips
    from earnest.export.card import read_result as bundle_result
    from earnest.training.record import read_record
    from earnest.training.run import LEAKAGE, leakage_of

    shared = {"speakers": 0, "sentences": 2, "duplicates": None}
    leakage = [{"sets": ["train", "test"], "shared": shared}]
    clips = [Utterance(name, Path(f"{name}.wav"), corpus="c", speaker=name) for name in "ab"]
    split = Split(clips[:1], (), clips[1:])
    row = {"settings": {"training.epochs": 3}, "metric": "ua", "value": 0.5, "trials": 3}
    return [
        Reader(
            "metrics.json", "metrics.json", _written("metrics.json"), lambda p: bundle_result(p.parent), kind="json"
        ),
        Reader("run.json", "run.json", _written("run.json"), lambda path: read_record(path.parent), kind="json"),
        Reader(
            "stress metrics.json",
            "metrics.json",
            _written("metrics.json"),
            lambda path: Finished.read(path.parent, {}),
            kind="json",
        ),
        Reader(
            "leakage.json",
            LEAKAGE,
            _texts(json.dumps(leakage)),
            lambda path: leakage_of(path.parent, split),
            kind="json",
        ),
        Reader(
            "selected.json",
            SELECTED,
            _texts(json.dumps(row)),
            lambda path: selected_settings([path.parent]),
            kind="json",
        ),
        Reader(
            "split of a run",
            "split.json",
            _texts(json.dumps({"train": ["c/a"], "valid": [], "test": []})),
            lambda path: split_clips(path.parent, {}),
            kind="json",
        ),
    ]


def _corpora() -> list[Reader]:
    from earnest.corpora.base import CORPORA
    from earnest.corpora.load import corpus_called, load_corpus

    found = [
        _label_file(name, file, text)
        for name in CORPORA.names()
        for file, text in corpus_called(name).extra_files.items()
    ]

    def named(path: Path) -> None:
        """Read a folder of one recording that is called what the file says."""
        folder = path.parent / "corpus"
        folder.mkdir(exist_ok=True)
        for old in folder.iterdir():
            old.unlink()
        name = path.read_bytes()[:200].replace(b"/", b"").replace(b"\0", b"") or b"x"
        try:
            (folder / name.decode("utf-8", "surrogateescape")).with_suffix(".wav").write_bytes(b"RIFF")
        except (OSError, ValueError):
            return
        for corpus in CORPORA.names():
            _quietly(load_corpus, corpus, folder)

    examples = [Path(next(iter(corpus_called(name).example))).stem for name in CORPORA.names()]
    found.append(Reader("names of recordings", "name", _texts(*examples), named, kind="text"))
    return found


def _label_file(name: str, file: str, text: str) -> Reader:
    """Return the reader of one corpus, whose file of labels is damaged."""
    from earnest.corpora.load import corpus_called
    from earnest.testing.corpora import build_example

    depth = len(Path(file).parts)

    def read(path: Path) -> None:
        corpus, root = corpus_called(name), path.parents[depth - 1]
        _quietly(lambda: list(corpus.read(root)))
        corpus.published(root)

    kinds: Mapping[str, Literal["json", "csv"]] = {".json": "json", ".csv": "csv"}
    kind = kinds.get(Path(file).suffix, "text")
    return Reader(f"{name} {file}", file, _texts(text), read, lambda folder: build_example(name, folder), kind)


def _quietly(function: Callable[..., object], *arguments: object) -> None:
    """Call a reader that comes before others: its own kind of error is right, and the others are called."""
    from earnest.errors import EarnestError

    with suppress(EarnestError):
        function(*arguments)


def _weights() -> list[Reader]:
    import torch
    from safetensors.torch import save

    from earnest.models.pretrained import load_all_but, read_known_speakers, read_origin, read_tensors

    wanted = {"weight": torch.zeros(2, 3), "bias": torch.zeros(2)}

    def tensors() -> tuple[bytes, ...]:
        said = {"origin": "made up", "known_speakers": '["c/1"]'}
        return (save({f"encoder.{key}": value for key, value in wanted.items()}, said),)

    def read(path: Path) -> None:
        _quietly(read_origin, path)
        _quietly(read_known_speakers, path)
        read_tensors(path, "encoder.", wanted)

    def pickled() -> tuple[bytes, ...]:
        file = io.BytesIO()
        torch.save(torch.nn.Sequential(torch.nn.Linear(3, 2)).state_dict(), file)
        return (file.getvalue(),)

    def loaded(path: Path) -> None:
        load_all_but(torch.nn.Sequential(torch.nn.Linear(3, 2)), "1", str(path), lambda key: key)

    return [
        Reader("safetensors", "model.safetensors", tensors, read, costly=True),
        Reader("torch weights", "model.pth", pickled, loaded, costly=True),
    ]


def _archives() -> list[Reader]:
    from earnest.corpora.fetch import unpack

    def archives() -> tuple[bytes, ...]:
        made = []
        for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            file = io.BytesIO()
            with zipfile.ZipFile(file, "w", compression) as archive:
                archive.writestr("wav/a.wav", sound_file("wav"))
                archive.writestr("wav/b.txt", "b" * 1000)
            made.append(file.getvalue())
        return tuple(made)

    def unpacked(path: Path) -> None:
        from tempfile import TemporaryDirectory

        with TemporaryDirectory(dir=path.parent) as folder:
            unpack(path, Path(folder))

    return [Reader("archive", "corpus.zip", archives, unpacked)]


def _client() -> list[Reader]:
    """Return what reads a server's answers."""
    from earnest.client.calls import ServerMessages, prediction_in, timeline_in

    answer = {
        "path": "a.wav",
        "status": "ok",
        "duration_s": 1.0,
        "speech_s": 0.9,
        "emotion": "sad",
        "confidence": 0.8,
        "probabilities": {"sad": 0.8, "happy": 0.2},
        "polarity": -0.6,
        "gender": None,
        "affect": None,
        "affect_derived": False,
        "intensity": None,
        "quality": ["clipped"],
        "adapted": False,
        "adaptation_weight": 0.0,
        "shares": {},
        "vocal_bursts": [{"start_s": 0.1, "end_s": 0.4, "kind": "laughter", "confidence": 0.7}],
        "model": "base 1",
        "error": None,
    }
    span = {"start_s": 0.0, "end_s": 1.0, "emotion": "sad", "confidence": 0.8}
    messages = (
        {"event": "ready", "classes": ["sad", "happy"], "model": "base"},
        {"event": "span", **span},
        {"event": "error", "code": "too-slow", "detail": "more"},
        {"event": "end", "prediction": answer},
    )
    whole = {**answer, "spans": [span], "windows": [{"start_s": 0.0, "end_s": 1.0, "probabilities": {"sad": 1.0}}]}

    def heard(path: Path) -> None:
        one = ServerMessages(16_000)
        _quietly(one.take, path.read_bytes())
        one.take(path.read_text("utf-8", "replace"))

    return [
        Reader("stream message", "message.json", _texts(*map(json.dumps, messages)), heard, kind="json"),
        Reader("prediction", "answer.json", _texts(json.dumps(answer)), _answer(prediction_in), kind="json"),
        Reader("timeline", "answer.json", _texts(json.dumps(whole)), _answer(timeline_in), kind="json"),
    ]


def _answer(read: Callable[[Any, str], object]) -> Callable[[Path], object]:
    """Return a reader of what `earnest.client.calls.values_in` took out of an answer."""

    def called(path: Path) -> object:
        try:
            values = json.loads(path.read_bytes())
        except (ValueError, RecursionError):
            return None
        return read(values, "a.wav")

    return called


_GROUPS: Mapping[str, Callable[[], list[Reader]]] = {
    "audio": _audio,
    "bundle": _bundles,
    "settings": _settings,
    "table": _tables,
    "answers": _scores,
    "run": lambda: [*_reports(), *_runs()],
    "corpus": _corpora,
    "weights": _weights,
    "archive": _archives,
    "client": _client,
    "batch": lambda: list(import_module("fuzz.batches").batch_readers()),
    "between": lambda: list(import_module("fuzz.between").readers_between()),
    "resumed": lambda: list(import_module("fuzz.resumed").resumed_readers()),
}


@cache
def readers(group: str = "") -> Mapping[str, Reader]:
    """Return all of one group, or of all, by name; a group imports what it needs and no more."""
    made = [
        replace(reader, name=f"{name}: {reader.name}")
        for name, make in _GROUPS.items()
        if group in ("", name)
        for reader in make()
    ]
    found = {reader.name: reader for reader in made}
    assert len(found) == len(made)
    return found


def reader_called(name: str) -> Reader:
    """Return one reader."""
    return readers(name.partition(":")[0])[name]
