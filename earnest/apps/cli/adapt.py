"""``earnest adapt``: recordings of a speaker or a channel to a profile that others are adapted with."""

from collections.abc import Iterator
from pathlib import Path

import click

from earnest.apps.cli import say
from earnest.apps.cli._options import AveragingOptions, channel_option, options
from earnest.apps.cli._recordings import Hearing, NamedRecordings
from earnest.apps.cli._typed import EXIT_SOME_FAILED, FILE, output_options, overwrite_option
from earnest.audio.source import Source, path_of
from earnest.errors import EarnestError, counted, printable
from earnest.files.writing import new_file, unfollowed
from earnest.runtime.profile import Profile

MOST_TOLD = 4  # names of speakers


@click.command()
@click.argument("paths", nargs=-1, required=True)
@options("models", AveragingOptions)
@channel_option()
@click.option("-o", "--output", required=True, type=FILE, help="File to write: .json.")
@overwrite_option
@output_options
def command(
    paths: tuple[str, ...], models: AveragingOptions, channels: tuple[int, ...], output: Path, overwrite: bool
) -> None:
    """Save a profile of a speaker or a channel, without labels.

    PATHS are recordings, folders or lists (.csv or .tsv with the column path). The profile holds the model's answers,
    without adaptation, to at most 600 of their windows, and no sound. `earnest predict`, `timeline` and `listen` take
    it with --profile, for the same model. Recordings of one emotion alone say little about a speaker.

    \b
    Examples:
      earnest adapt anna/ --output anna.json
      earnest predict call.wav --profile anna.json

    Exit codes: 0 all heard, 1 an error that was explained, 2 wrong usage, 3 some recordings could not be read (they
    are named, and the profile is of the others), 130 stopped by Ctrl-C.
    """
    recordings, heard = NamedRecordings(paths), list[str]()
    sources, speakers = recordings.sources(channels, output), recordings.speakers()
    failed: list[EarnestError] = []

    def told(hearing: Hearing) -> Iterator[Source]:
        for source in hearing.counted("Hearing", sources, len(sources)):
            heard.append(speakers.of(path_of(source)))
            yield source

    def leave_out(error: EarnestError) -> None:
        heard.pop()
        failed.append(error)
        say.line(f"Left out: {error}", err=True)

    with new_file(output, overwrite) as place, open(place, "w", encoding="utf-8", opener=unfollowed) as file:
        model = models.load()
        hearing = Hearing(model, say.progress())
        profile = hearing.predictor.profile(told(hearing), leave_out)
        file.write(profile.to_json())
    _tell_speakers(set(heard))
    _tell_too_little(profile, model.adaptation.least_speech_s)
    facts = {"rows": len(profile.weights), "speech_s": round(profile.speech_s, 3), "model": profile.model}
    if not say.answer({"path": output, **facts}):
        say.hint(
            f"{output}: {profile.speech_s:.0f} s of speech, {counted(len(profile.weights), 'answer')} of "
            f"{profile.model}"
        )
    if failed:
        click.get_current_context().exit(EXIT_SOME_FAILED)


def _tell_too_little(profile: Profile, least_s: float) -> None:
    if profile.speech_s < least_s:
        say.line(
            f"{profile.speech_s:.1f} s of speech are too little: '{profile.model}' adapts from {least_s:g} s on, so "
            "with this profile answers stay as they are. Give more recordings.",
            err=True,
        )


def _tell_speakers(speakers: set[str]) -> None:
    """Warn of several speakers in the recordings: a profile of all of them may still be meant."""
    if len(speakers) > 1:
        names = printable(", ".join(sorted(speakers)[:MOST_TOLD])) + (", …" if len(speakers) > MOST_TOLD else "")
        say.line(
            f"These recordings are of {len(speakers)} speakers ({names}), and become one profile, as of a room or a "
            "telephone. For one speaker give only that speaker's recordings.",
            err=True,
        )
