"""The model card: what a bundle is, what it has heard, what it can and must not do."""

from earnest.bundle import BundleInfo

INTENDED = """Research, teaching, prototypes, and analysing recordings whose speakers agreed to it."""
EXCLUDED = (
    "Decisions about people: hiring, grading, credit, policing, diagnosis. The corpora are acted: what the model calls "
    "an emotion is how an actor was told to sound, not what a person feels. In the European Union, inferring emotions "
    "at work and in schools is prohibited but for medical and safety reasons (AI Act, article 5)."
)


def model_card(info: BundleInfo) -> str:
    """Return the card as Markdown."""
    classes = ", ".join(info.classes)
    lines = [
        f"# {info.name} {info.version}",
        "",
        f"Speech emotion from raw waveform ({info.sample_rate_hz} Hz): {classes}.",
        f"Network `{info.network}`, {info.n_parameters:,} parameters, initial weights: {info.origin}.",
        _calibration(info),
        *([info.notes] if info.notes else []),
        "",
        "## Trained on",
        "",
        "| corpus | licence | clips | speakers | hours | attribution |",
        "|---|---|---:|---:|---:|---|",
    ]
    lines += [
        f"| {line.name} | {line.licence} | {line.n_utterances:,} | {line.n_speakers} | {line.hours:.2f} "
        f"| {line.attribution} |"
        for line in info.training_corpora
    ]
    lines += ["", f"Licence of the weights: {info.licence}."]
    lines += ["The licence notice of the initial weights is in NOTICE.txt."] if "NOTICE.txt" in info.files else []
    lines += ["", "## Results of this recipe", "", *_results(info)]
    lines += ["", "## Use", "", f"Intended: {INTENDED}", "", f"Excluded: {EXCLUDED}", ""]
    return "\n".join(lines)


def _calibration(info: BundleInfo) -> str:
    fitted = info.calibration
    with_vector = " and a weight and a bias a class" if fitted and fitted.weight else ""
    sentence = (
        f"Probabilities are calibrated with temperature {info.temperature:.3f}{with_vector}, fitted on validation "
        "speakers"
    )
    if fitted is None:
        return f"{sentence}."
    return (
        f"{sentence}: their calibration error was {fitted.before.ece:.3f} before and is {fitted.after.ece:.3f} after."
    )


def _results(info: BundleInfo) -> list[str]:
    if not info.results:
        return ["None were exported with it."]
    rows = ["| protocol | speakers | WA % | UA % | clips | command |", "|---|---|---:|---:|---:|---|"]
    for result in info.results:
        speakers = "speaker-independent" if result.speaker_independent else "speaker-dependent"
        rows.append(
            f"| {result.protocol} | {speakers} | {_spread(result.wa, result.wa_sd)} "
            f"| {_spread(result.ua, result.ua_sd)} | {result.n:,} | `{result.command}` |"
        )
    rows += ["", "Mean ± standard deviation over folds; these are models of the folds, trained on less than this one."]
    return rows


def _spread(mean: float, deviation: float | None) -> str:
    return f"{100 * mean:.1f}" + ("" if deviation is None else f" ± {100 * deviation:.1f}")
