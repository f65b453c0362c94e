"""A bundle's card: what it learnt from, how good it is, what it must not be used for; results from ``metrics.json``.

And the writing of a bundle's files: all of them or none; here without torch.
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from earnest.augment.noise_files import LICENCES
from earnest.bundle import BEGUN, BundleInfo, ProtocolResult
from earnest.corpora.base import CORPORA
from earnest.errors import EarnestError, told
from earnest.evaluation.author_protocols import STAMP, is_chosen_on_test, stamp_of
from earnest.evaluation.calibration import FittedCalibration
from earnest.evaluation.intervals import Spread
from earnest.evaluation.predictions import METRICS
from earnest.evaluation.texts import NONE, markdown_row, markdown_table, percent, spread_text
from earnest.files.reading import parsed_json, read_json
from earnest.files.writing import has_lock, held_folder, put_in_place, write_atomically
from earnest.settings.recipe import Recipe


def read_result(folder: Path, recipe: Recipe | None = None) -> ProtocolResult:
    """Read the result in a folder of `earnest evaluate`.

    Raises `EarnestError` when the file is none, is of another recipe, holds only some folds, or its epoch was chosen on
    test utterances.

    Parameters
    ----------
    recipe : of the bundle that the result is to describe; None for any
    """
    path = folder / METRICS
    values = read_json(path)
    try:
        if values.get("part"):
            raise EarnestError(f"{path}: {values['part']} were scored. A bundle needs results over all of them.")
        if stamp_of(values) or is_chosen_on_test(values["protocol"]):
            raise EarnestError(f"{path}: {STAMP}. A bundle states honest results.")
        if recipe and (other := _differing(values, recipe)):
            raise EarnestError(f"{path}: of another recipe than the run ({other}). A bundle states results of its own.")
        return result_of(values)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EarnestError(f"{path}: not the metrics.json of `earnest evaluate` ({error!r}).") from error


_MAY_DIFFER = frozenset({"training.refit", "training.seed", "network.weights"})  # as folds and all data may need it


def _differing(values: Mapping[str, Any], recipe: Recipe) -> str:
    """Name a setting that the recipe of a result has otherwise; "" for none. Corpora and classes are the protocol's."""
    if "recipe" not in values:
        return ""
    chosen = {key for fold in values.get("selected", {}).values() for key in fold["settings"]}
    theirs, ours = (_flat(one) for one in (values["recipe"], parsed_json(json.dumps(recipe.to_dict()), "recipe")))
    # Of a network the defaults aren't spelt out; of other tables a setting may be missing in results of before.
    compared = {key for key in theirs | ours if key.startswith("network.")} | (theirs.keys() & ours.keys())
    for key in sorted(compared - chosen - _MAY_DIFFER):
        if theirs.get(key) != ours.get(key):
            return f"{key} is {json.dumps(theirs.get(key))} there and {json.dumps(ours.get(key))} here"
    return ""


def _flat(recipe: Mapping[str, Any]) -> dict[str, Any]:
    flat = {"model": recipe["model"]}
    for table in ("front_end", "segments", "image", "network", "training", "finetune"):
        flat |= {f"{table}.{name}": value for name, value in (recipe.get(table) or {}).items()}
    return flat | {"augment": recipe.get("augment")}


def result_of(values: Mapping[str, Any]) -> ProtocolResult:
    """Pick what a bundle states from the content of ``metrics.json``."""
    over, interval, slices = values["over_folds"], values["intervals"]["wa"], values.get("slices", {})
    calibration, confidence = values.get("calibration") or {}, values.get("confidence") or {}
    gender = values.get("gender") or {}
    return ProtocolResult(
        protocol=values["protocol"],
        speaker_independent=values["speaker_independent"],
        wa=over["wa"]["mean"],
        wa_sd=over["wa"]["sd"],
        ua=over["ua"]["mean"],
        ua_sd=over["ua"]["sd"],
        n=values.get("n_recordings", values["n"]),  # of repeated trainings n counts answers
        command=values["command"],
        wa_interval=(interval["low"], interval["high"]),
        ece=calibration.get("ece"),
        wa_at_80=confidence.get("accuracy_at", {}).get("0.8"),
        recall={name: one["recall"] for name, one in values["per_class"].items() if one["recall"] is not None},
        ua_by_gender={one["value"]: one["ua"] for one in slices.get("gender", ()) if one["value"]},
        wa_of_speakers=_range([one["wa"] for one in slices.get("speaker", ()) if one["value"]]),
        gender_wa=gender.get("wa"),
        gender_recalls={name: one["recall"] for name, one in gender.get("recalls", {}).items()},
        class_subsets={
            scheme: (one["over_folds"]["wa"]["mean"], one["over_folds"]["ua"]["mean"])
            for scheme, one in values.get("class_subsets", {}).items()
        },
    )


def _range(values: list[float]) -> tuple[float, ...]:
    return (min(values), median(values), max(values)) if values else ()


INTENDED = """Research, teaching, prototypes, and analysing recordings whose speakers agreed to it."""
EXCLUDED = (
    "Decisions about people: hiring, grading, credit, policing, diagnosis. {}In the European Union, inferring emotions "
    "at work and in schools is prohibited except for medical and safety reasons (AI Act, article 5)."
)
ACTED = (
    "The corpora are acted: what the model calls an emotion is how an actor was told to sound, not what a person feels."
)
LIMITS = (
    "Acted speech in few languages, recorded close to the microphone in quiet rooms: on spontaneous speech, in other "
    "languages, over a telephone or in noise it is right less often, and its probabilities, fitted on such speech, can "
    "be too sure. Results differ much between speakers: see the range over speakers, not the mean alone. An emotion "
    "that is not among its classes gets the class that is nearest."
)
OWN_LIMITS = (
    "Its results are of recordings as it learnt from: with other microphones, rooms or languages or in noise it is "
    "right less often, and can be too sure. Speakers differ: see the range over speakers, not the mean alone. Speech "
    "that none of its labels fits gets the nearest one."
)
GENDER = (
    "Beside the emotion it answers which of two words, female and male, a voice sounds like. That is not who somebody "
    "is: the makers of the corpora wrote these words down for adult actors, and every other voice, also a child's, "
    "gets the nearer word. Don't use it to sort or address people."
)
_REFUSED = "speech refused, per cent"
PERCENTAGES = ("wa", "ua", "coverage", "right", "ece", "coverage_80", "right_80")
TRUE_PERCENTAGES = (
    'All columns but n are in per cent. An answer is told when it names an emotion; the others are "unsure". WA '
    "(weighted accuracy, the share that is right) and UA (unweighted accuracy, the mean recall over classes) are of "
    "all answers, unsure ones too. Then come: told, the share of answers that are told; right, the share of told "
    "answers that are right; ECE, the expected calibration error of told answers, in 15 bins; ≥ 80 %, the share of "
    "answers that are told and at least 80 % sure; right, the share of these that are right. Left out: the model "
    "learnt from other corpora, and its temperature and threshold were fitted on still others. Known: other speakers "
    "of a corpus that it learnt from. Command: `python scripts/left_out_table.py NAME`."
)
HEARD_AS = (
    "Heard as: a clip is one recording by itself. For timeline and stream, all recordings of a speaker follow each "
    "other, with pauses, in a quiet room; timeline counts spans, stream windows."
)
INTENSITY = (
    "How strongly the emotion is expressed, 0 to 1, learnt from the levels that CREMA-D's actors were asked for: "
    "neutral 0, low 1/3, medium 2/3, high 1. The table is of corpora that it was not fitted on: the share of pairs of "
    "a strong and a normal recording in which the strong one has more (chance is 0.50). Command: "
    "`python scripts/fit_intensity.py`."
)
AFFECT = (
    "None of the corpora has ratings of valence or arousal. Both are derived from emotions, not measured, and how well "
    "they agree with ratings is not known. They were learnt from the positions of emotions on the two scales (Russell "
    "and Mehrabian, 1977): of emotions that actors were asked for, by level, and of emotions that most listeners "
    "heard. The table is of corpora that it was not fitted on: correlation and concordance with these positions; "
    "pairs: the share of pairs in which happy has more valence than angry, sad, fearful or disgust, and angry, happy "
    "or fearful more arousal than sad, neutral or calm (chance is 0.50). Command: `python scripts/fit_affect.py`."
)
ADAPTED_STREAMS = (
    "Streams of recordings from corpora that the model has not heard, four classes (neutral, happy, sad, angry), WA / "
    "UA (ECE) in per cent. Neutral-heavy: 80 % neutral. Plain: without adaptation. Batch: all recordings of a stream "
    "are heard before any is answered. Ten: ten drawn recordings are heard before. Causal: each is answered with what "
    "came before it. How far adapted answers are flattened was chosen on these corpora. Command: "
    "`python scripts/fit_adaptation.py FOLDER NAME`."
)
SOUNDS_TOLD = (
    "A part of the network says whether sound is speech. It learnt the speech of crema-d and emodb, vocal bursts of "
    "emogator, noise of noise-esc10 and made-up sounds, and nothing of ravdess and nemo. Command: `python "
    "scripts/fit_heads.py`."
)
REFUSED = (
    "Speech refused, per cent: the share of recordings that it takes for no speech or for a vocal burst, as they are "
    "and changed."
)
CHANGES = {
    "": "as they are",
    "word": "a stretch of 0.4 to 1.5 s",
    "alone": "a stretch of 0.25 to 1.5 s, over a made-up microphone",
    "syllable": "a stretch of 0.12 to 0.5 s, over a made-up microphone",
    "anybody's": "over a made-up microphone",
    "changed": "as in training",
    "voices": "with other speakers behind",
    "sounds": "with noises behind",
    "one other speaks": "with one other speaker, some nearly as loud",
    "others speak": "with several other speakers, some nearly as loud",
    "speed": "at another speed",
    "pitch": "at another pitch",
    "clipped": "with peaks cut off",
    "quiet": "very soft",
    "telephone": "with noise, over a telephone",
    "narrow": "nothing above 1.5 to 4 kHz",
    "far": "in a hall",
}
OTHER_SOUND = (
    "Called speech: the share of other sound, which it had not learnt, that it takes for speech; leave classes out: "
    "the same for kinds of noise, each left out of learning once."
)
OVERLAP_TOLD = (
    "The share of recordings that are called overlapped-speech, per cent. It should be low in the first columns: one "
    "speaker alone; in turn, two people one after the other; far behind, one other voice 15 to 30 dB below.{} It "
    "should be high in the last three: one other voice at most 6 dB below, from the beginning; the same from somewhere "
    "in the first half on; two to five others. Some are heard over a made-up microphone, or changed as in training. "
    "The part of the network that says this learnt from mixtures of crema-d and of emodb; rows of these two are of one "
    "that learnt from the other alone. Command: `python scripts/fit_overlap.py BUNDLE`."
)
MISMATCH_TOLD = (
    "The share of recordings that are called out-of-domain because they are whispered, in wind, slowed down, sped up, "
    "or thin (nothing low in them). Answers to such speech are less sure, for they are wrong more often. It should be "
    "high in the last five columns, and low in the others: changed as in training; over anybody's microphone, made up; "
    "with mains hum; in a comb, as of two microphones; overdriven; cut short … Of the last five, half the recordings "
    "are heard in a hall, over such a microphone or changed as in training too. The part of the network that says this "
    "learnt from changed recordings of crema-d and of emodb. Command: `python scripts/fit_mismatch.py BUNDLE`."
)
IN_A_HALL = " In a hall: alone, and far away."
FOLDERS = (
    "In this table, no kind of stream of speech loses more than a point by adaptation. So `earnest predict FOLDER` "
    "adapts to the recordings of each folder, unless you give `--adapt off`."
)
RESULTS = (
    "WA: weighted accuracy, the share that is right. UA: unweighted accuracy, the mean recall over classes. Mean ± "
    "standard deviation over folds. Speaker-independent: no test speaker was trained on. These are models of the "
    "folds; they were trained on less than this one."
)
STREAM_WAYS = ("plain", "batch", "ten", "causal")
CITATION = (
    'earnest: speech emotion recognition that people can trust, model "{name}" {version}. Please cite the corpora '
    "(above) and the origin of the initial weights too."
)


def model_card(info: BundleInfo) -> str:
    """Return the card as Markdown."""
    classes = ", ".join(info.classes)
    apart = "speakers" if all(one.speaker_independent for one in info.results) else "recordings"
    fitted = _calibrated("Probabilities", info.temperature, info.calibration, apart)
    calibration = _outside(info) if info.left_out else fitted
    what, excluded, limits = "The emotion that speech expresses", EXCLUDED.format(f"{ACTED} "), LIMITS
    if _has_own_labels(info):
        what, excluded, limits = "The label that fits speech best", EXCLUDED.format(""), OWN_LIMITS
    lines = [
        f"# {info.name} {info.version}",
        "",
        f"{what}, from a waveform ({info.sample_rate_hz:,} Hz): {classes}.",
        calibration,
        *("", "## Use", "", f"Intended: {INTENDED}", "", f"Excluded: {excluded}", "", "## Limits", "", limits),
        *("", "## How it was made", ""),
        f"Network `{info.network}`, {info.n_parameters:,} parameters.",
        "",
        f"Initial weights: {info.origin}.",
        *(["", info.notes] if info.notes else []),
        "",
        "## Trained on",
        "",
    ]
    rows = (
        (
            one.name,
            one.licence,
            f"{one.n_utterances:,}",
            str(one.n_speakers or "–"),
            f"{one.hours:.2f}",
            one.attribution,
        )
        for one in info.training_corpora
    )
    lines += markdown_table(("corpus", "licence", "utterances", "speakers", "hours", "attribution"), "llrrrl", rows)
    lines += _only_validated(info)
    lines += ["", f"Licence of the weights: {info.licence_in_words}."]
    lines += ["The licence notice of the initial weights is in NOTICE.txt."] if "NOTICE.txt" in info.files else []
    lines += ["", "## Results of this recipe", "", *_results(info)]
    lines += _fairness(info)
    lines += _left_out(info)
    lines += _gender(info) if "gender" in info.learned else []
    lines += ["", "## How to cite", "", f"{CITATION.format(name=info.name, version=info.version)}", ""]
    return "\n".join(lines)


def _has_own_labels(info: BundleInfo) -> bool:
    """Labels of own recordings may be any words, about speech that was acted or not."""
    names = [line.name for line in info.training_corpora]
    return info.scheme == "native" and not all(name in CORPORA or name in LICENCES for name in names)


def _only_validated(info: BundleInfo) -> list[str]:
    """The table counts validation utterances too; without a refit the weights have not learnt from these."""
    refitted = info.recipe.get("training", {}).get("refit", True)
    if refitted or info.calibration is None:
        return []
    return ["", "The table counts validation utterances too: they served for choosing, no weight was learnt from them."]


def _calibrated(what: str, temperature: float, fitted: FittedCalibration | None, apart: str = "speakers") -> str:
    if fitted is None and temperature == 1:
        return f"{what} are not calibrated: there were no validation recordings."
    heard = f"fitted on answers about {apart} that it had not learnt from"
    sentence = f"{what} are calibrated with temperature {temperature:.3f}, {heard}"
    if fitted is None:
        return f"{sentence}."
    return (
        f"{sentence}: their calibration error was {fitted.before.ece:.3f} before and is {fitted.after.ece:.3f} after."
    )


def _outside(info: BundleInfo) -> str:
    return (
        f"Probabilities are calibrated with temperature {info.temperature:.3f} and answers less than "
        f"{info.abstain_below:.0%} sure are called unsure: both were fitted on corpora that were left out of training."
    )


def _left_out(info: BundleInfo) -> list[str]:
    """Return how true its percentages are elsewhere, and what it answers to sound that is no speech."""
    told = info.left_out or {}
    lines: list[str] = []
    if table := told.get("table"):
        lines += [
            "",
            "## How true its percentages are",
            "",
            TRUE_PERCENTAGES,
            "",
            HEARD_AS,
            "",
            *percentages_table(table),
        ]
    if intensity := told.get("intensity"):
        lines += ["", "## Intensity", "", INTENSITY, "", *intensity_table(intensity)]
    if affect := told.get("affect_derived"):
        lines += ["", "## Valence and arousal, derived", "", AFFECT, "", *affect_table(affect)]
    if streams := told.get("streams"):
        lines += ["", "## Adapted to a speaker", "", ADAPTED_STREAMS, "", *streams_table(streams)]
        lines += ["", FOLDERS] if info.adaptation and info.adaptation.folders else []
    if sounds := told.get("sounds"):
        lines += ["", "## Sound that is no speech", "", SOUNDS_TOLD, "", *_sounds(sounds)]
    if overlap := told.get("overlap"):
        halls = IN_A_HALL if any("in a hall" in shares for shares in overlap.values()) else ""
        lines += ["", "## Several people at once", "", OVERLAP_TOLD.format(halls), "", *_by_corpus(overlap)]
    if mismatch := told.get("mismatch"):
        lines += ["", "## Speech unlike that of training", "", MISMATCH_TOLD, "", *_by_corpus(mismatch)]
    return lines


def _by_corpus(told: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return a table of per cent, corpora × ways of hearing."""
    ways = list(next(iter(told.values())))
    rows = ((corpus, *(f"{shares[way]:.1f}" for way in ways)) for corpus, shares in told.items())
    return markdown_table(("corpus", *ways), "l" + "r" * len(ways), rows)


def _sounds(sounds: Mapping[str, Any]) -> list[str]:
    """Return a table of changes × corpora of refused speech, and a line for each other share."""
    others = {what: shares for what, shares in sounds.items() if isinstance(shares, Mapping)}
    refused = {tuple(name.partition(" ")[::2]): share for name, share in others.pop(_REFUSED, {}).items()}
    corpora = list(dict.fromkeys(corpus for corpus, _ in refused))
    told = CHANGES | {change: "" for _, change in refused if change not in CHANGES}  # those of another version
    rows = (
        (f"{change}: {text}".strip(": "), *(f"{refused.get((one, change), NONE)}" for one in corpora))
        for change, text in told.items()
        if any((one, change) in refused for one in corpora)
    )
    lines = [REFUSED, "", *markdown_table(("recordings", *corpora), "l" + "r" * len(corpora), rows), ""]
    return [*lines, OTHER_SOUND, "", *(f"* {what}: {_listed(shares)}" for what, shares in others.items())]


def _listed(shares: Mapping[str, Any]) -> str:
    """Return names with their values; those of a name that has several stand in parentheses."""
    return ", ".join(
        f"{name} ({_listed(share)})" if isinstance(share, Mapping) else f"{name} {share}"
        for name, share in shares.items()
    )


def percentages_table(table: Mapping[str, Mapping[str, Mapping[str, float]]]) -> list[str]:
    """Return the lines of a table of corpora × ways of hearing (`scripts/left_out_table.py`)."""
    columns = ("corpus", "heard as", "n", "WA", "UA", "told", "right", "ECE", "≥ 80 %", "right")
    rows = (
        (where, way, f"{one['n']:,}", *(percent(one[key]) for key in PERCENTAGES))
        for where, ways in table.items()
        for way, one in ways.items()
        if "wa" in one
    )
    return markdown_table(columns, "llrrrrrrrr", rows)


def intensity_table(told: Mapping[str, Any]) -> list[str]:
    """Return the lines of a table of corpora × how their levels are ranked (`scripts/fit_intensity.py`)."""
    rows = (
        (corpus, f"{row['strong above normal']:.2f}", f"{row['within speaker and emotion']:.2f}")
        for corpus, row in told.items()
        if isinstance(row, Mapping)
    )
    return markdown_table(("corpus", "strong above normal", "of one speaker and emotion"), "lrr", rows)


def affect_table(told: Mapping[str, Any]) -> list[str]:
    """Return the lines of a table of corpora × how derived affect fits their emotions (`scripts/fit_affect.py`)."""
    columns = ("correlation", "concordance", "pairs", "pairs, worst speaker")
    lines = [f"| corpus | | {' | '.join(columns)} |", "|---|---|---:|---:|---:|---:|"]
    rows = {corpus: row for corpus, row in told.items() if isinstance(row, Mapping) and "valence, pairs" in row}
    for corpus, row in rows.items():
        lines += [
            markdown_row((corpus, side, *(f"{row[f'{side}, {column}']:.2f}" for column in columns)))
            for side in ("valence", "arousal")
        ]
    ranked = {corpus: row for corpus, row in rows.items() if "strong above normal" in row}
    for corpus, row in ranked.items():
        shares = f"{row['strong above normal']:.2f}, of one speaker and emotion {row['within speaker and emotion']:.2f}"
        lines += ["", f"Pairs of {corpus} in which a strong recording has more arousal than a normal one: {shares}."]
    return lines


def streams_table(streams: Mapping[str, Mapping[str, Mapping[str, Mapping[str, float]]]]) -> list[str]:
    """Return the lines of a table of corpora and kinds of streams × ways of adapting (`scripts/fit_adaptation.py`)."""
    rows = (
        (corpus, kind, *(f"{percent(one['wa'])} / {percent(one['ua'])} ({100 * one['ece']:.0f})" for one in told))
        for corpus, kinds in streams.items()
        for kind, ways in kinds.items()
        for told in [[ways[way] for way in STREAM_WAYS]]
    )
    return markdown_table(("corpus", "stream", *STREAM_WAYS), "llrrrr", rows)


def _results(info: BundleInfo) -> list[str]:
    if not info.results:
        return ["None were exported with it."]
    lines = markdown_table(("protocol", "speakers", "WA %", "UA %", "utterances", "command"), "llrrrl", ())
    for result in info.results:
        speakers = "speaker-independent" if result.speaker_independent else "speaker-dependent"
        shares = (spread_text(Spread(result.wa, result.wa_sd)), spread_text(Spread(result.ua, result.ua_sd)))
        lines.append(markdown_row((result.protocol, speakers, *shares, f"{result.n:,}", f"`{result.command}`")))
        for scheme, (wa, ua) in result.class_subsets.items():
            name = f"{result.protocol}, {scheme} classes"
            lines.append(f"| {name} | {speakers} | {percent(wa)} | {percent(ua)} | | the same |")
    return [*lines, "", RESULTS]


def _fairness(info: BundleInfo) -> list[str]:
    """Return the differences between classes, genders and voices, for each result that has them."""
    told = [result for result in info.results if result.recall]
    if not told:
        return []
    columns = (
        "protocol",
        "WA, 95 % interval",
        "ECE, 0 to 1",
        "WA of the surest 80 %",
        "UA by gender",
        "WA of speakers",
    )
    rows = []
    for result in told:
        genders = ", ".join(f"{name} {percent(ua)}" for name, ua in result.ua_by_gender.items()) or NONE
        cells = (
            result.protocol,
            " to ".join(map(percent, result.wa_interval)),
            NONE if result.ece is None else f"{result.ece:.3f}",
            percent(result.wa_at_80),
            genders,
            "{} to {}, median {}".format(*(percent(result.wa_of_speakers[place]) for place in (0, 2, 1)))
            if result.wa_of_speakers
            else NONE,
        )
        rows.append(cells)
    classes = list(dict.fromkeys(name for result in told for name in result.recall))
    recalls = ((result.protocol, *(percent(result.recall.get(name)) for name in classes)) for result in told)
    return [
        *("", "## By class, gender and speaker", "", *markdown_table(columns, "lrrrll", rows)),
        *("", "Recall by class, %:", ""),
        *markdown_table(("protocol", *classes), "l" + "r" * len(classes), recalls),
    ]


def _gender(info: BundleInfo) -> list[str]:
    """Return the section on gender: the answer, and how often it is right."""
    fitted = _calibrated("Its probabilities", info.gender_temperature, info.gender_calibration)
    lines = ["", "## Gender", "", GENDER if info.gender_calibration is None else f"{GENDER} {fitted}"]
    told = [result for result in info.results if result.gender_wa is not None]
    names = sorted({name for result in told for name in result.gender_recalls})
    if told:
        rows = (
            (result.protocol, *map(percent, (result.gender_wa, *map(result.gender_recalls.get, names))))
            for result in told
        )
        lines += ["", *markdown_table(("protocol", "right %", *names), "lr" + "r" * len(names), rows)]
    return lines


NOTICE, MODEL = "NOTICE.txt", "model.onnx"
BUNDLE = "bundle.json"
MODEL_FILES = {MODEL, "model.xml", "model.bin"}


def write_bundle(output: Path, files: Mapping[str, bytes], info: BundleInfo) -> None:
    """Write a bundle with its card, all of it or nothing, see `staged`.

    Parameters
    ----------
    files : all that ``info`` lists, by name; graphs that it does not list are removed
    """
    with staged(output) as fresh:
        write_bundle_files(fresh, files, info)


def write_bundle_files(fresh: Path, files: Mapping[str, bytes], info: BundleInfo) -> None:
    """Write a bundle with its card into a folder that is `staged`."""
    text = json.dumps(info.to_dict(), indent=1, ensure_ascii=False, allow_nan=False)
    for name, content in {**files, "card.md": model_card(info).encode(), BUNDLE: f"{text}\n".encode()}.items():
        write_atomically(fresh / name, content)


@contextmanager
def staged(output: Path) -> Iterator[Path]:
    """Give an empty folder for a bundle and what goes with it, which moves to ``output`` when the block ends well.

    What was there before stays until then, whatever happens. ``bundle.json`` goes first and comes last: who is killed
    while files move leaves no model, rather than one with files of another.
    """
    begun = output / BEGUN
    with held_folder(output), told(output):
        if begun.exists():  # of who was killed
            shutil.rmtree(begun)
        begun.mkdir()
        try:
            yield begun
        except BaseException:
            shutil.rmtree(begun, ignore_errors=True)
            raise
        for name in {BUNDLE, *(name for name in MODEL_FILES if not (begun / name).exists())}:
            (output / name).unlink(missing_ok=True)
        for path in sorted(begun.rglob("*"), key=lambda path: (path.name == BUNDLE, path)):
            place = output / path.relative_to(begun)
            if path.is_dir():
                place.mkdir(exist_ok=True)
            else:
                put_in_place(path, place)
        shutil.rmtree(begun)


def refuse_full(
    output: Path, overwrite: bool, instead: str = "Replace it with --overwrite, or choose another --output."
) -> None:
    """Raise `EarnestError` that ends with ``instead`` for a folder that holds more than what was stopped half way."""
    with told(output):
        held = [path.name for path in output.iterdir() if not path.name.startswith(".")] if output.is_dir() else []
        killed = (output / BEGUN).exists() or (BUNDLE in held and has_lock(output))  # or goes on: its lock refuses
    if held and not overwrite and not killed:
        raise EarnestError(f"{output}: holds {min(held)}. {instead}")


@contextmanager
def begun_in(folder: Path) -> Iterator[None]:
    """Mark a folder, which is made, while files are written into it: `refuse_full` lets who was stopped begin again."""
    with told(folder):
        (folder / BEGUN).mkdir(parents=True, exist_ok=True)
    yield
    (folder / BEGUN).rmdir()
