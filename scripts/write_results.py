"""Write docs/results from folders of `earnest evaluate`: one table a protocol, ours beside the published numbers.

Usage: python scripts/write_results.py RUN [RUN ...]
       python scripts/write_results.py --again

Keeps metrics.json, metrics-adapted-*.json, metrics-streams.json and confusion.png of each result; adaptation.md has
what adaptation does, streams.md what it does to streams with other shares of emotions. The cards of the shipped bundles
get the same numbers.
Results that are already in docs/results stay unless a run of the same recipe and protocol is given. With --again the
command of every result is run first, in runs/results, where what is finished is not trained again; results whose
corpora are not at hand stay as they are.
"""

import json
import shlex
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np

from earnest.bundle import SHIPPED, load_bundle
from earnest.corpora.load import corpus_root
from earnest.errors import CorpusError
from earnest.evaluation.calibration import ExpectedEce
from earnest.evaluation.intervals import N_RESAMPLES, Interval, Spread, limits_of
from earnest.evaluation.protocols import PROTOCOLS
from earnest.evaluation.report import published_rows
from earnest.evaluation.streams import streams_legend, streams_markdown
from earnest.evaluation.texts import markdown_row, markdown_table, pooled_text, spread_text
from earnest.export.card import result_of, write_bundle
from earnest.files.writing import write_json

MORE = {  # protocols of split files
    "split-files": "the test utterances of `ravdess-6fold`, eight emotions; learnt from CREMA-D, EmoDB and "
    "RAVDESS' songs too, but from no songs of speakers who are tested or validated (`scripts/research_splits.py`)",
}
RESULTS = Path(__file__).parent.parent / "docs" / "results"
ADAPTED, STREAMS = RESULTS / "adapted", RESULTS / "streams"
HOWS = ("causal", "ten", "all", "one-emotion")
ADAPTATION_HEAD = """# Speaker adaptation without labels

What the networks that ship do on corpora that they never heard is in the cards of the bundles, under "Adapted to a
speaker".

WA (weighted accuracy, the share that is right) / UA (unweighted accuracy, the mean recall over classes) in per cent,
mean ± standard deviation over folds, speaker-independent. *Plain* is each recording by itself. The adaptation network
of the fold changes the plain answers. It learned from the training speakers alone, and sees nothing of a test speaker
but plain answers. Rows "four classes" are of the same answers among neutral, happy, sad and angry.

* *Causal*: the speaker's recordings in a drawn order. Each is answered with what was heard before it.
* *Ten*: ten drawn recordings of the speaker are heard, without labels, before any is answered.
* *All*: all of them are heard first.
* *One emotion*: as causal, but a stream of its own for each emotion of a speaker. This is the hardest case.

Speech that is mostly neutral, of two emotions or of several speakers: [streams](streams.md).
"""
STREAMS_HEAD = """# Adaptation to streams with other shares of emotions

A corpus has every emotion about equally often; a call or a diary does not. So streams are made of the test recordings
of finished evaluations: as recorded, mostly neutral, of one emotion, of two, of several speakers. The network learned
from other speakers (`leave-one-corpus-out`: from other corpora), and so did its adaptation.

A stream has recordings of the emotions that the table names, and no others. In [adaptation](adaptation.md) a speaker's
recordings of all emotions are heard, so numbers of the same models are others there.
"""
HEAD = """# Results

Every recipe on every protocol; tables of before the last changes are named in the [notes](#notes). Earlier networks and
their numbers are in the [lab book](experiments.md). How good the models that ship are on corpora that they never heard,
in short: [how good](../how-good.md).

How to read this page:

* The command under a table printed its numbers, with the corpora in the folder that `EARNEST_DATA` names and (for
  `base`) Whisper tiny.en's encoder below `EARNEST_MODELS`. Published numbers are quoted, not measured here.
* An utterance is one labelled stretch of speech; in these corpora each recording is one.
* WA (weighted accuracy) is the share of recordings that are right; UA (unweighted accuracy) is the mean recall over
  classes; macro-F1 is the mean F1 over classes. They are in per cent, mean ± standard deviation over folds.
* Pooled WA is over all recordings together; behind it is its 95 % bootstrap interval over speakers (2,000 resamples,
  seed 0). It is no interval of the mean over folds, and knows nothing of what training again would change. An interval
  of 100.0 to 100.0 has seen no error ([what intervals leave out](../protocols.md#what-a-result-can-be)).
* ECE is the expected calibration error, in 15 bins, of all recordings together. *Chance* is what a perfectly calibrated
  model would have on as many, if each were independent of the others.

What changed on which day, what was chosen on what, and what the recipes are: [notes](#notes), at the end.

More results:

* What percentages are worth on corpora left out of training: [base](left-out-base.md), [small](left-out-small.md),
  [large](left-out-large.md), [research-base](left-out-research-base.md), [research-small](left-out-research-small.md).
* With unlabelled recordings of the test speaker: [adaptation](adaptation.md). The same in streams that are mostly
  neutral, of one or two emotions or of several speakers: [streams](streams.md).
* Hard sound: [no speech](no-emotion-base.md), [short words](short-words.md),
  [voices behind, another speed, cut off, quiet](hard-speech.md), [telephone calls](telephone-calls.md),
  [words and dialogues of strangers](strangers.md), [jingles, whispers, a stadium](odd-sound.md). People who don't act,
  and speech that is mostly neutral: [conversations](conversations.md).
* Do predict, timeline and streams answer alike? [One answer](one-answer-base.md),
  [an hour of two speakers](two-speaker-hour-base.md).
* Averages over changed copies of a recording: [test-time augmentation](tta.md). Valence and arousal, derived from
  emotions: [how, and how well](affect.md). Own labels: [few recordings](few-recordings.md).
* All recipes side by side: [recipes](recipes/README.md). Goals, and what was reached: [targets](targets.md). What
  shared speakers and epochs chosen on test add to a number: [why honest evaluation](../why-honest-evaluation.md).
"""
NOTES = """## Notes

**The recipes.**

* `emocatcher` is the published recipe. `emocatcher-refit` trains once more, on training and validation recordings, for
  the number of epochs that validation loss chose.
* `base` and `small` learn from augmented copies of their training recordings too ([stress](../stress.md)); `base-plain`
  and `small-plain` do not. `base-frozen` has two blocks of Whisper's own weights.
* `base`, `small`, their recipes for known speakers and `research-small` are refitted: settings and temperature come
  from training and validation speakers apart, then the network is trained on both.
* The encoders of `base` and `large` were fine-tuned on the labels of 68 speakers of CREMA-D. So they can be scored on
  fold f1 of `crema-d-5fold` only.
* `small` starts from a student network that heard the sound of all of CREMA-D, test speakers included, without labels.
  In each fold it is then fine-tuned on the labels of the fold's training recordings and, where CREMA-D is not the
  protocol's own corpus, of CREMA-D. Its temperature comes from the validation speakers, whom it does not know.
* `base-enrolled` and `small-enrolled` are the same networks for protocols whose test speakers are known in
  advance: the last layer has class means for each enrolled speaker.

**What was chosen on what.**

* Epoch and temperature were chosen on validation recordings. Where the last layer alone is fitted (`base`), every
  training speaker is a validation speaker once for the temperature (speaker cross-fitting). That was decided after
  calibration errors of test folds had been seen; it changes probabilities, not answers.
* No network that ships was chosen on test recordings of the protocols that divide one corpus. But the blocks of `base`
  come from earlier work, in which test results had been seen.
* On the corpora of `leave-one-corpus-out` itself were chosen: the shrinkage of `base` and of `large`, what deviations
  count in `base`, the network that adapts, and some rules of how sound is heard ([all of
  them](experiments.md#scored-on-test-and-what-came-of-it)). Without any one of these corpora, the others choose about
  the same shrinkage and count ("deviations that count a third" and "less shrinkage").
* Test recordings were scored more than once: [targets](targets.md) says how often, for each protocol.

**Intervals.** Since 29 November 2026 intervals are expanded for the number of speakers: by 2 % over 91, 8 % over 24,
22 % over 10. Those of the pooled WA were computed anew, from each speaker's recordings and WA in the JSON files beside
this page. Others are older, and that much too narrow: other intervals in these files, those of the gender, and those of
other pages of results.

**Calibration.** Until 29 November 2026 the verdict about ECE was told of single folds alone, which have too few
recordings to tell: "in 6 of 6 folds no more than chance explains" was said where all recordings together have more.

**Same numbers again.** The same command gives the same bytes on the same machine. On another processor last bits
differ, and after 120 epochs single folds of a network can differ by five points: `emocatcher` had 53.6 ± 6.3 WA on
`ravdess-6fold` on one machine and 53.8 ± 4.8 on another (with an earlier threshold of the plateau).

**Offsets.** Since 27 November 2026 the front end of what ships takes a recording's mean off (`level = "deviation"`).
`base` was trained and scored anew for `leave-one-corpus-out`, `ravdess-6fold`, `emodb-loso` and `crema-d-5fold`,
`small` for `leave-one-corpus-out` and `ravdess-6fold`, `base-enrolled` for both of its protocols, `base-plain` for
`ravdess-6fold`, `emodb-loso` and `emocatcher-5fold`, `base-frozen` for `ravdess-6fold` and `emodb-loso`, `small-plain`
for `emodb-loso`, `small-enrolled` for `vino-random`. All other tables but those of EmoCatcher's recipe are of before,
on recordings that have next to none: where both were run they differ by no more than training does (WA of `base-plain`
75.5 before, 75.6 after, and 90.0 and 90.5, of `base-frozen` 75.1 and 75.3, 90.4 and 90.1; `base-enrolled` 92.2 twice;
`small-plain` 85.6 and 84.9; `small-enrolled` 92.2 and 91.8; [lab book](experiments.md), "a microphone's offset"). The
runs of `research-base` began with the encoder of an earlier `base`.

**Copies of corpora.** Every second recording of nEMO was at hand (2,241 of 4,481; 1,906 of the classes that the models
know), and CREMA-D, nEMO and RAVDESS' songs as Opus of 24 to 32 kbit/s. On the published recordings the same commands
count more recordings, and numbers differ a little.

**A room around.** Since 28 November 2026 `predict` hears a short recording that begins or ends with a room's noise only
around its speech. The left-out tables of `small`, `large` and of the research line are of before; recordings as corpora
have them differ by a few tenths: `base` had WA 60.3 and UA 62.9 that day on RAVDESS (1,056 recordings; 60.0 and 62.7
without), 72.6 and 70.3 on every twelfth recording of CREMA-D (73.2 and 70.6; [lab book](experiments.md), "a room before
and after").

**EmoCatcher's recipe.** `emocatcher` was trained anew on 27 November 2026: on EmoCatcher's own folds, drawn in its
published order of files, and with torch's own threshold of the plateau (1e-4), as its code leaves it.
`emocatcher-refit` is older: its five folds were drawn with the same seed over sorted file names, its threshold was
1e-3, and a new run has other numbers. The table of `small-enrolled` on `emocatcher-5fold` is of these older folds,
too.
"""


def main(words: list[str]) -> None:
    RESULTS.mkdir(parents=True, exist_ok=True)
    runs = run_again() if words == ["--again"] else [Path(word) for word in words]
    for run in runs:
        metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
        if metrics.get("selected_on") == "test":
            raise SystemExit(f"{run}: the epoch was chosen on test; this is no result.")
        name = f"{recipe_name(metrics)}-{metrics['protocol']}"
        shutil.copy(run / "metrics.json", RESULTS / f"{name}.json")
        shutil.copy(run / "confusion.png", RESULTS / f"{name}.png")
        for path in sorted(run.glob("metrics-adapted-*.json")):
            ADAPTED.mkdir(exist_ok=True)
            shutil.copy(path, ADAPTED / f"{name}-{path.stem.removeprefix('metrics-adapted-')}.json")
        if (run / "metrics-streams.json").exists():
            STREAMS.mkdir(exist_ok=True)
            shutil.copy(run / "metrics-streams.json", STREAMS / f"{name}.json")
    renew_intervals()
    found = [(path.stem, json.loads(path.read_text(encoding="utf-8"))) for path in sorted(RESULTS.glob("*.json"))]
    parts = [HEAD]
    for protocol in (*PROTOCOLS, *MORE):
        ours = [(stem, metrics) for stem, metrics in found if metrics["protocol"] == protocol]
        if ours:
            parts.append(section(protocol, ours))
    (RESULTS / "README.md").write_text("\n".join([*parts, NOTES]), encoding="utf-8")
    (RESULTS / "adaptation.md").write_text(adaptation_page(dict(found)), encoding="utf-8")
    if STREAMS.exists():
        (RESULTS / "streams.md").write_text(streams_page(dict(found)), encoding="utf-8")
    renew_cards(dict(found))


def renew_intervals() -> None:
    """Give the results of before the interval of WA that they would have now."""
    for path in sorted(RESULTS.glob("*.json")):
        metrics = json.loads(path.read_text(encoding="utf-8"))
        for scores in (metrics, *metrics.get("class_subsets", {}).values()):
            scores["intervals"]["wa"] = asdict(wa_interval(scores))
        write_json(path, metrics)


def renew_cards(plain: dict[str, dict[str, Any]]) -> None:
    """Give the shipped bundles the numbers that are on the pages now."""
    for name in sorted(folder.name for folder in SHIPPED.iterdir() if (folder / "bundle.json").is_file()):
        bundle = load_bundle(name)
        info = bundle.info
        told = tuple(result_of(plain[f"{name}-{one.protocol}"]) for one in info.results)
        files = {file: bundle.listed_bytes(file) for file in info.files}
        write_bundle(bundle.folder, files, replace(info, results=told))


def streams_page(plain: dict[str, dict[str, Any]]) -> str:
    parts = [STREAMS_HEAD]
    for stem, metrics in plain.items():
        if (path := STREAMS / f"{stem}.json").exists():
            document = json.loads(path.read_text(encoding="utf-8"))
            parts += [streams_legend(document)] if len(parts) == 1 else []
            parts += [f"## {recipe_name(metrics)}, {document['title']}\n", streams_markdown(document)]
            parts.append(f"```sh\n{document['evaluation']}\nearnest streams runs/{stem}\n```\n")
    return "\n".join(parts)


def adaptation_page(plain: dict[str, dict[str, Any]]) -> str:
    lines = [
        ADAPTATION_HEAD,
        "| recipe, protocol | plain | causal | ten | all | one emotion |",
        "|---|---|---|---|---|---|",
    ]
    commands = []
    for stem, metrics in plain.items():
        adapted = {
            path.stem.removeprefix(f"{stem}-"): json.loads(path.read_text("utf-8"))
            for path in ADAPTED.glob(f"{stem}-*.json")
        }
        if adapted:
            title = f"{recipe_name(metrics)}, {metrics['protocol']}{part_of(metrics)}"
            lines.append(adaptation_line(title, metrics, adapted))
            for scheme, scores in class_subsets(metrics):
                found = {how: dict(class_subsets(one))[scheme] for how, one in adapted.items()}
                lines.append(adaptation_line(f"{title}, {scheme} classes", scores, found))
            commands.append(adapted[next(iter(adapted))]["command"])
    return "\n".join([*lines, "", "```sh", *commands, "```", ""])


def adaptation_line(title: str, plain: dict[str, Any], adapted: dict[str, dict[str, Any]]) -> str:
    cells = [wa_and_ua(plain), *(wa_and_ua(adapted[how]) if how in adapted else "–" for how in HOWS)]
    return markdown_row([title, *cells])


def wa_and_ua(metrics: dict[str, Any]) -> str:
    return " / ".join(spread_text(Spread(**metrics["over_folds"][score])) for score in ("wa", "ua"))


def part_of(metrics: dict[str, Any]) -> str:
    return f", {metrics['part']}" if metrics.get("part") else ""


def run_again() -> list[Path]:
    """Run the commands of all results whose corpora are at hand; return the folders."""
    runs = []
    for path in sorted(RESULTS.glob("*.json")):
        metrics = json.loads(path.read_text(encoding="utf-8"))
        wanted = metrics["recipe"]["corpus"]
        if absent := absent_corpora([wanted] if isinstance(wanted, str) else wanted):
            sys.stderr.write(f"{path.stem}: stays as it is; not at hand: {', '.join(absent)}\n")
            continue
        runs.append(Path("runs") / "results" / path.stem)
        command = [*shlex.split(metrics["command"]), "--output", str(runs[-1])]
        sys.stderr.write(f"{shlex.join(command)}\n")
        subprocess.run([sys.executable, "-m", *command], check=True)
        if (STREAMS / path.name).exists():
            subprocess.run([sys.executable, "-m", "earnest", "streams", str(runs[-1])], check=True)
    return runs


def absent_corpora(names: list[str]) -> list[str]:
    absent = []
    for name in names:
        try:
            corpus_root(name, {})
        except CorpusError:
            absent.append(name)
    return absent


def recipe_name(metrics: dict[str, Any]) -> str:
    return Path(metrics["command"].split()[2]).stem


def section(protocol: str, ours: list[tuple[str, dict[str, Any]]]) -> str:
    clips = ours[0][1]["clips"].partition(": ")[2].partition(", only")[0]  # which folds: each row says it
    known = PROTOCOLS.get(protocol)
    kind, description = (known.kind, known.description) if known else ("speaker-independent", MORE[protocol])
    lines = [f"## {protocol} ({kind})", "", wrapped(f"{description}: {clips}."), ""]
    lines += markdown_table(("result", "WA", "UA", "macro-F1", "pooled WA"), "lrrrr", ())
    for stem, metrics in ours:
        title = f"**{recipe_name(metrics)}**{part_of(metrics)}"
        lines += [result_line(f"{title}, {scheme} classes", scores) for scheme, scores in class_subsets(metrics)]
        lines.append(result_line(f"{title} ([confusion]({stem}.png))", metrics))
    lines += [f"| {row.result} | {row.wa} | {row.ua} | – | – |" for row in published_rows(protocol)]
    lines += ["", "```sh", *(metrics["command"] for _, metrics in ours), "```", ""]
    lines += [fold_line(metrics) for _, metrics in ours]
    lines += [gender_line(metrics) for _, metrics in ours if metrics.get("gender")]
    return "\n".join(lines) + "\n"


def wrapped(text: str) -> str:
    """Return a paragraph in lines of 120 letters; a per cent sign stays with its number."""
    return fill(text.replace(" %", "\0%"), 120, break_long_words=False, break_on_hyphens=False).replace("\0", " ")


def class_subsets(metrics: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return the scores of the same answers among fewer classes, with the name of the label scheme."""
    return list(metrics.get("class_subsets", {}).items())


def result_line(title: str, scores: dict[str, Any]) -> str:
    cells = [spread_text(Spread(**scores["over_folds"][score])) for score in ("wa", "ua", "macro_f1")]
    return markdown_row([title, *cells, pooled_text(scores["wa"], Interval(**scores["intervals"]["wa"]))])


def wa_interval(scores: dict[str, Any]) -> Interval:
    """Return the interval that `earnest score` gives of the recordings and the WA of each speaker.

    That in a file of before 29 November 2026 is narrower. Where speakers are not told, it stays.
    """
    told = Interval(**scores["intervals"]["wa"])
    speakers = scores.get("slices", {}).get("speaker", [])
    n, wa = (np.array([one[name] for one in speakers]) for name in ("n", "wa"))
    if told.over != "speakers" or n.sum() != scores["n"]:
        return told
    drawn = np.random.default_rng(0).multinomial(len(n), np.full(len(n), 1 / len(n)), size=N_RESAMPLES)
    return Interval(*limits_of(drawn @ np.rint(n * wa) / (drawn @ n), len(n)), told.over)


def fold_line(metrics: dict[str, Any]) -> str:
    lines = [wrapped(f"WA by fold, {recipe_name(metrics)}: {by_fold(metrics, 'wa')}{calibration(metrics)}.") + "\n"]
    for scheme, scores in class_subsets(metrics):
        ua = by_fold(scores, "ua")
        text = f"UA by fold, {recipe_name(metrics)}, {scheme} classes: {ua}{calibration(scores)}."
        lines.append(wrapped(text) + "\n")
    return "\n".join(lines)


def by_fold(scores: dict[str, Any], name: str) -> str:
    return ", ".join(f"{fold} {100 * one[name]:.1f}" for fold, one in scores["folds"].items())


def gender_line(metrics: dict[str, Any]) -> str:
    gender = metrics["gender"]
    parts = [("of all utterances", gender["wa"], gender["intervals"]["wa"])]
    parts += [(f"of those of {name} voices", one["recall"], one["interval"]) for name, one in gender["recalls"].items()]
    shares = ", ".join(
        f"{100 * share:.1f} % {what} ({100 * limits['low']:.1f} to {100 * limits['high']:.1f})"
        for what, share, limits in parts
    )
    return wrapped(f"Gender right, {recipe_name(metrics)}: {shares}; 95 % intervals over speakers.") + "\n"


def calibration(metrics: dict[str, Any]) -> str:
    """Describe the calibration, beside the chance level of a perfectly calibrated model."""
    if not metrics["calibration"]:
        return ""
    ece = metrics["calibration"]["ece"]
    chance = metrics["calibration"].get("expected_ece")
    if not chance:
        return f"; ECE {ece:.3f}"
    surest = metrics["confidence"]["accuracy_at"]["0.8"]
    gain = f"{100 * (surest - metrics['wa']):+.1f}"
    verdict = ExpectedEce(**chance).verdict(ece)
    folds = calibration_by_fold(metrics["folds"])
    return f"; ECE {ece:.3f}, {verdict}{folds}; WA of the surest 80 %: {100 * surest:.1f} ({gain})"


def calibration_by_fold(folds: dict[str, dict[str, Any]]) -> str:
    """Describe the calibration of single folds, of which fewer recordings tell less; nothing of one fold."""
    if len(folds) < 2:
        return ""
    within = sum(fold["ece"] <= fold["expected_ece_q95"] for fold in folds.values())
    low, high = (choose(fold["ece"] for fold in folds.values()) for choose in (min, max))
    told = f"{within} of {len(folds)} no more than chance explains"
    return f"; by fold, where fewer recordings tell less, {low:.3f} to {high:.3f}, {told}"


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(sys.argv[1:])
