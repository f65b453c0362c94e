"""A run: one model learnt on one split, start to end, and the folder that holds it; published weights get one, too."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields, replace
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from earnest.augment.base import AUGMENTATIONS, ledger_of_tables
from earnest.augment.noise_files import NoiseFiles
from earnest.bundle import TrainingCorpus
from earnest.corpora.base import CORPORA
from earnest.corpora.load import affect_range, rows_by_name, scheme_of_rows
from earnest.corpora.manifest import Utterance
from earnest.errors import CorpusError, EarnestError, RecipeError, counted, named
from earnest.evaluation.answers import same_text
from earnest.evaluation.author_protocols import is_chosen_on_test
from earnest.evaluation.calibration import bound_warnings
from earnest.evaluation.predictions import Predictions, identified, rated, read_predictions, write_predictions
from earnest.evaluation.splits import Leakage, Split, leakage, refuse_identical
from earnest.files.reading import read_bytes, read_json
from earnest.files.writing import SUMS, holding, refuse_changed, refuse_foreign, write_atomically, write_sums
from earnest.labels import AFFECT, SCHEMES
from earnest.models.classifier import MODELS, NetworkOutput, SpeechClassifier, build_classifier
from earnest.models.pretrained import persons, take_over
from earnest.models.published import LARGEST_BYTES, PUBLISHED
from earnest.settings.recipe import Recipe, Training, read_recipe, recipe_to_toml
from earnest.training.examples import Example, code_digest, code_of_others, digest_of_words, targets_of
from earnest.training.heads import AffectHead, class_heads, heads_of
from earnest.training.learn import Clips, calibration_of, learner_for
from earnest.training.record import CHECKPOINT, NO_VALIDATION, RECORD, RunRecord, calibrate, read_record


def ledger_of(examples: Sequence[Example]) -> tuple[TrainingCorpus, ...]:
    """List the corpora that the weights have heard, validation data included: it chose the epoch."""
    lines = []
    unique = {example.utterance.key: example for example in examples}.values()
    for name in sorted({example.utterance.corpus for example in unique}):
        rows = [example for example in unique if example.utterance.corpus == name]
        known = CORPORA.find(name)
        lines.append(
            TrainingCorpus(
                name=name,
                licence=known.licence if known else "unknown",
                n_utterances=len(rows),
                n_speakers=len({example.utterance.speaker for example in rows}),
                hours=round(sum(example.duration_s for example in rows) / 3600, 3),
                attribution=known.citation if known else "",
            )
        )
    return tuple(lines)


def noise_ledger(recipe: Recipe) -> tuple[TrainingCorpus, ...]:
    """List the noise that the weights have heard behind speech, a folder once."""
    changes = recipe.finetune.changes if recipe.finetune else None
    noise = NoiseFiles(changes.noise, names=changes.noise_names).ledger() if changes and changes.noise else ()
    return tuple({line.name: line for line in (*noise, *ledger_of_tables(recipe.augment))}.values())


def refuse_known_speakers(split: Split, fitted_on: frozenset[str]) -> None:
    """Refuse to call a split speaker-independent if the initial weights were fitted on its test speakers' labels.

    Own recordings may be a copy of a corpus, with other names of speakers: there the files' names tell who speaks.
    """
    heard, corpora = persons(fitted_on), {name.partition("/")[0] for name in fitted_on}
    own = [row.path for row in split.test if row.corpus not in CORPORA]
    rows = chain(split.test, *(rows_by_name(corpus, own) for corpus in corpora))
    known = sorted({f"{row.corpus}/{row.speaker}" for row in rows if row.speaker in heard})
    if known and split.speaker_independent:
        raise RecipeError(
            f"{split.protocol}, fold {split.fold}: the initial weights were fitted on labels of {len(known)} of its "
            f"test speakers ({named(known)}). Choose another fold with --fold or --folds, or weights "
            "that left them out (python -m research finetune --protocol --fold)."
        )


WEIGHTS, PREDICTIONS, LEAKAGE = "model.safetensors", "predictions.csv", "leakage.json"
LABELS = "labels.json"
OURS = ("audio", "augment", "corpora", "frontends", "learning", "models", "training")  # whose code a training runs
FILES = ("recipe.toml", "split.json", LABELS, LEAKAGE, WEIGHTS, RECORD, PREDICTIONS)
BEFORE_LEARNING = ("recipe.toml", "split.json", LABELS, LEAKAGE, "tensorboard")


@holding("folder")
def run_split(recipe: Recipe, split: Split, clips: Clips, folder: Path) -> Predictions | None:
    """Train on one split and predict its test set once; a finished folder is read, a killed one resumed.

    Parameters
    ----------
    clips : of the split, at least
    folder : gets recipe.toml, split.json, leakage.json, history.csv, model.safetensors, run.json, predictions.csv, and
        their checksums at the end

    Returns
    -------
    predictions of the test set, None when the split has none
    """
    claim(folder, recipe, split)
    if not is_finished(folder, split):
        (folder / SUMS).unlink(missing_ok=True)
    if not (folder / RECORD).exists():
        digests = {example.utterance.key: example.digest for rows in split.sets.values() for example in clips.of(rows)}
        refuse_identical(split, digests)
        write_atomically(folder / LEAKAGE, _json([line.to_dict() for line in leakage(split, digests)]))
        _train(recipe, split, clips, folder)
    (folder / CHECKPOINT).unlink(missing_ok=True)
    if split.test and not (folder / PREDICTIONS).exists():
        classifier, test = load_run(folder), clips.of(split.test)
        output = learner_for(recipe, clips).output(classifier, test)
        predictions = predictions_from(output, classifier, test, split.fold)
        write_predictions(predictions, folder / PREDICTIONS)
    seal(folder)
    return read_predictions(folder / PREDICTIONS) if split.test else None


def predictions_from(
    output: NetworkOutput, classifier: SpeechClassifier, examples: Sequence[Example], fold: str
) -> Predictions:
    """Turn a network's output into rows with calibrated probabilities; gender and affect where they were learnt."""
    probabilities = classifier.probabilities(output.logits).numpy()
    columns: dict[str, Any] = {}
    for head in heads_of(len(classifier.classes), classifier.learned):
        columns |= head.columns(output)
    utterances = [example.utterance for example in examples]
    return Predictions(
        classes=classifier.classes,
        fold=same_text(fold, len(examples)),
        emotion=targets_of(examples),
        predicted=probabilities.argmax(axis=1).astype(np.int64),
        probabilities=probabilities,
        **columns,
        **identified(utterances),
        **rated(utterances),
    )


def load_run(folder: Path) -> SpeechClassifier:
    """Build the classifier of a finished run with its weights and calibration, answering the tasks it was fitted on."""
    record, recipe = read_record(folder), read_recipe(folder)
    if record.package and recipe.model not in MODELS:
        raise EarnestError(
            f"{folder}: its model '{recipe.model}' is of the package {record.package}, which is not installed here. "
            "Install it."
        )
    classifier = build_classifier(recipe, record.classes, record.seed)
    try:
        weights = load_file(folder / WEIGHTS)
        classifier.network.load_state_dict(weights)
    except (OSError, RuntimeError, SafetensorError) as error:
        raise EarnestError(f"{folder / WEIGHTS}: doesn't hold this recipe's weights ({error}).") from error
    calibrate(classifier, record)
    classifier.learned = record.learned
    return classifier.eval()


def is_finished(folder: Path, split: Split) -> bool:
    """Whether a run has ended, predictions of the test set included."""
    return (folder / RECORD).exists() and (not split.test or (folder / PREDICTIONS).exists())


def code_of(recipe: Recipe) -> str:
    """Return a digest of the code that a training runs: ours, and the packages of its network and augmentations."""
    used = [MODELS.get(recipe.model), *(AUGMENTATIONS.get(str(one["name"])) for one in recipe.augment)]
    others = code_of_others({base for one in used for base in one.__mro__})
    return digest_of_words(code_digest(OURS), *others)


def seal(folder: Path) -> None:
    """Write the checksums of a finished run, or refuse one whose files were changed since."""
    if (folder / SUMS).exists():
        refuse_changed(folder)
        return
    fixed = [name for name in FILES if (folder / name).exists()]
    fitted = [path.name for pattern in ("*.np[yz]", "*.onnx") for path in folder.glob(pattern)]
    write_sums(folder, [*fixed, *fitted])


def leakage_of(folder: Path, split: Split) -> list[Leakage]:
    """Count the overlap of the sets of a run's split; identical utterances only where training noted them down."""
    path = folder / LEAKAGE
    if not path.exists():  # a run of an earlier version
        return leakage(split)
    lines = read_json(path)
    try:
        return [Leakage.from_dict(values) for values in lines]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EarnestError(f"{path}: not readable ({error!r}).") from error


def claim(folder: Path, recipe: Recipe, split: Split) -> None:
    """Write recipe and split into a run folder, or refuse one that holds others.

    A run that failed before it learned anything has nothing to lose: the corrected recipe takes its place.
    """
    if recipe.training.refit and is_chosen_on_test(split.protocol):
        raise RecipeError(
            "[training]: refit = true would train on the utterances that choose the epoch, which are the test "
            "utterances here. Leave it out: --set training.refit=false."
        )
    path, split_path, labels_path = folder / "recipe.toml", folder / "split.json", folder / LABELS
    labels = _json({"sha256": _digest_of_labels(split)})
    refuse_foreign(folder, path.name, FILES)
    if folder.is_dir() and any(one.name not in BEFORE_LEARNING for one in folder.glob("[!.]*")):
        if path.exists() and not read_recipe(path).trains_as(recipe):
            raise _holds("a run of another recipe", folder)
        if split_path.exists() and split_path.read_bytes() != split.to_json().encode():
            raise _holds("a run on another split", folder)
        if labels_path.exists() and labels_path.read_bytes() != labels:  # runs of earlier versions have none
            raise _holds("a run on other labels of these recordings", folder)
        if path.exists() and split_path.exists():
            return
    wanted = {path: recipe_to_toml(recipe).encode(), split_path: split.to_json().encode(), labels_path: labels}
    for held, content in wanted.items():
        if not held.exists() or held.read_bytes() != content:
            write_atomically(held, content)


def _digest_of_labels(split: Split) -> str:
    """Return a digest of a split's labels, ratings, speakers and times; where files lie doesn't count."""
    names = [one.name for one in fields(Utterance) if one.name != "path"]
    rows = ([str(getattr(row, name)) for name in names] for row in chain(*split.sets.values()))
    return sha256(json.dumps(sorted(rows)).encode()).hexdigest()


def _holds(what: str, folder: Path) -> RecipeError:
    return RecipeError(f"{folder}: holds {what}. Choose another --output, or remove the folder.")


def _train(recipe: Recipe, split: Split, clips: Clips, folder: Path) -> None:
    settings, code = recipe.training, code_of(recipe)  # as it is now, and not after hours of training
    classes = clips.classes or scheme_of_rows(recipe.scheme, (*split.train, *split.valid, *split.test)).classes
    train, valid = clips.of(split.train), clips.of(split.valid)
    clips = replace(clips, auxiliary=clips.auxiliary_of(split))
    learner, classifier = learner_for(recipe, clips), initial_classifier(recipe, classes)
    refuse_known_speakers(split, classifier.network.known_speakers)
    result = learner.fit(classifier, (train,), valid, folder)
    learned = learner.tasks(train)
    calibrations, bounds = dict[str, Any](), list[str]()
    for head in class_heads(heads_of(len(classes), learned)):
        temperature, fitted = calibration_of(
            learner, classifier.network, head, result.heard, valid, split.speaker_independent
        )
        calibrations |= head.entries(temperature, fitted)
        bounds += bound_warnings(head.name, temperature)
    statistics = learner.runtime_statistics(classifier, result.heard, valid)
    best_epoch, epochs, stop_reason = result.best_epoch, result.epochs, result.stop_reason
    bounds = [] if result.warnings else bounds  # what did not learn has no scores that a temperature could mend
    test = clips.of(split.test)
    others = (*valid, *test)
    doubts = (*_unheard_classes(classes, train, others), *_doubts_about_ratings(settings, learned, train, others))
    warnings = (*result.warnings, *bounds, *(() if valid else (NO_VALIDATION,)), *doubts)
    if settings.refit and valid:
        learner, classifier = learner_for(recipe, clips), initial_classifier(recipe, classes)
        result = learner.fit(classifier, (train, valid), (), folder / "refit", best_epoch)
        statistics = learner.runtime_statistics(classifier, result.heard, valid, statistics)
    write_atomically(folder / WEIGHTS, save(classifier.network.state_dict()))
    statistics.write(folder)
    (folder / "refit" / CHECKPOINT).unlink(missing_ok=True)
    record = RunRecord(
        classes=classes,
        protocol=split.protocol,
        fold=split.fold,
        speaker_independent=split.speaker_independent,
        seed=settings.seed,
        best_epoch=best_epoch,
        epochs=epochs,
        origin=classifier.network.origin + result.tuned,
        refitted=settings.refit and bool(valid),
        n_parameters=classifier.n_parameters(),
        n_train=len(train) + (len(valid) if settings.refit else 0),
        n_valid=len(valid),
        n_test=len(test),
        training_corpora=(*ledger_of([*train, *valid, *clips.auxiliary]), *noise_ledger(recipe)),
        stop_reason=stop_reason,
        learned=learned,
        warnings=warnings,
        package=MODELS.package_of(recipe.model),
        code=code,
        **calibrations,
        **statistics.entries(),
    )
    write_atomically(folder / RECORD, _json(asdict(record)))
    if recipe.finetune:
        from earnest.training.finetune import drop_finetuned

        for path in (folder, folder / "refit"):
            drop_finetuned(path)


def _unheard_classes(classes: Sequence[str], train: Sequence[Example], others: Sequence[Example]) -> Iterator[str]:
    """Warn of classes that validation and test ask for, though nobody can learn them."""
    asked = [example.target for example in others]
    for target in sorted(set(asked) - {example.target for example in train}):
        told = counted(asked.count(target), "validation or test recording")
        yield f"no training recording is {classes[target]}, though {told} should be"


def _doubts_about_ratings(
    settings: Training, learned: Sequence[str], train: Sequence[Example], others: Sequence[Example]
) -> Iterator[str]:
    """Warn of dimensions that nobody rated, and of ratings beyond the ends of their scale, where they are learnt."""
    if "affect" not in learned:
        return
    if unrated := AffectHead.unrated(train):
        yield f"nobody rated {' and '.join(unrated)}: what the model says of it was not learnt"
    n_ratings, beyond = 0, list[float]()
    for row in (example.utterance for example in (*train, *others)):
        if ends := affect_range(row.corpus, settings.affect_range):
            ratings = [rating for name in AFFECT if (rating := getattr(row, name)) is not None]
            n_ratings += len(ratings)
            beyond += [rating for rating in ratings if not ends[0] <= rating <= ends[1]]
    if beyond:
        yield (
            f"{len(beyond)} of {counted(n_ratings, 'rating')} lie beyond the ends of their scale (such as "
            f"{beyond[0]:g}) and count as these, in scores too: correct them, or set training.affect_range"
        )


def initial_classifier(recipe: Recipe, classes: tuple[str, ...]) -> SpeechClassifier:
    """Build the model as training starts: random, or with the pre-trained weights that the recipe names."""
    if len(classes) < 2:
        raise CorpusError(f"All recordings are of one class ({', '.join(classes)}): learning needs two or more.")
    classifier = build_classifier(recipe, classes, recipe.training.seed)
    classifier.network.load_pretrained()
    return classifier


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


PROTOCOL = "imported"


@holding("folder")
def import_run(name: str, path: Path, folder: Path, recipe: Recipe) -> RunRecord:
    """Make a run folder of published weights, as `earnest train` leaves one, but without predictions.

    Raises `EarnestError` when the file is none, or a tensor doesn't fit: names and shapes are told.

    Parameters
    ----------
    name : in `PUBLISHED`
    recipe : ours, of the same name: what describes front end and network
    folder : gets recipe.toml, model.safetensors, run.json and their checksums; nothing else may lie there
    """
    source = PUBLISHED[name]
    choice = source.choice_of(path)
    held = sorted(path.name for path in folder.iterdir() if not path.name.startswith(".")) if folder.is_dir() else []
    if held:
        raise EarnestError(f"{folder}: holds {held[0]}. Choose another --output, or remove the folder.")
    classes = SCHEMES[recipe.scheme].classes
    network = build_classifier(recipe, classes, recipe.training.seed).network.inner
    found = source.read(path, network)
    if set(found.classes) != set(classes):
        raise EarnestError(f"{path}: has the classes {', '.join(found.classes)}; expected {', '.join(classes)}.")
    take_over(network, found.by_name, path)
    folder.mkdir(parents=True, exist_ok=True)
    outer = build_classifier(recipe, found.classes, recipe.training.seed)
    outer.network.inner.load_state_dict(network.state_dict())
    record = RunRecord(
        classes=found.classes,
        protocol=PROTOCOL,
        fold="",
        speaker_independent=False,
        seed=recipe.training.seed,
        best_epoch=0,
        epochs=0,
        origin=f"{source.origin}; {choice.words}: {path.name}, "
        f"sha256 {sha256(read_bytes(path, most=LARGEST_BYTES)).hexdigest()}",
        refitted=False,
        temperature=found.temperature,
        n_parameters=outer.n_parameters(),
        n_train=sum(line.n_utterances for line in source.heard),
        n_valid=0,
        n_test=0,
        training_corpora=tuple(line.line() for line in source.heard),
        stop_reason=PROTOCOL,
        selected_on=choice.selected_on,
    )
    write_atomically(folder / "recipe.toml", recipe_to_toml(recipe).encode())
    write_atomically(folder / WEIGHTS, save(outer.network.state_dict()))
    write_atomically(folder / RECORD, _json(asdict(record)))
    seal(folder)
    return record
