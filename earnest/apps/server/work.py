"""What a thread does for one request."""

from dataclasses import replace
from typing import Literal, TypeAlias

from earnest.apps.server.body import Body
from earnest.apps.server.problems import ProblemError
from earnest.errors import EarnestError
from earnest.runtime.adaptation import Adapter
from earnest.runtime.prediction import Options, Prediction
from earnest.runtime.predictor import Predictor
from earnest.runtime.profile import Profile
from earnest.runtime.timeline import Timeline
from earnest.runtime.windows import Windowing

Adapt: TypeAlias = Literal["auto", "off"]


def adapter_for(predictor: Predictor, adapt: Adapt) -> Adapter | None:
    """Return what adapts to one speaker, None for "off" and where the model can't."""
    return predictor.adapter() if adapt == "auto" and predictor.can_adapt else None


def known_adapter(predictor: Predictor, profile: object) -> Adapter:
    """Return what adapts to the speaker of a profile: its JSON's bytes or values; what is none is a `ProblemError`."""
    try:
        if isinstance(profile, bytes):
            return predictor.adapter(Profile.parsed(profile.decode(), "profile"))
        return predictor.adapter(Profile.from_values(profile, "profile"))
    except (EarnestError, UnicodeDecodeError) as error:
        raise ProblemError("not-valid", str(error)) from None


def _adapter(predictor: Predictor, body: Body, adapt: Adapt) -> Adapter | None:
    return adapter_for(predictor, adapt) if body.profile is None else known_adapter(predictor, body.profile)


def utterance(predictor: Predictor, body: Body, adapt: Adapt, options: Options) -> Prediction:
    """Predict one recording; `AudioError` when it can't be read."""
    (upload,) = body.uploads
    answer = predictor.predict(upload.data, _adapter(predictor, body, adapt), **options.words())
    return replace(answer, path=upload.name)


def timeline(
    predictor: Predictor, body: Body, adapt: Adapt, windowing: Windowing, most_s: float, options: Options
) -> Timeline:
    """Tell the emotion over time; `AudioError` when it can't be read."""
    (upload,) = body.uploads
    answer = predictor.timeline(upload.data, windowing, _adapter(predictor, body, adapt), most_s, **options.words())
    return replace(answer, prediction=replace(answer.prediction, path=upload.name))


def batch(predictor: Predictor, body: Body, adapt: Adapt, options: Options) -> list[Prediction]:
    """Predict many recordings in their order, with "auto" as those of one speaker; see `Predictor.predict_many`."""
    sounds = [upload.data for upload in body.uploads]
    if body.profile is None and adapt == "auto" and predictor.can_adapt:
        rows = predictor.predict_many(sounds, speakers="one", **options.words())
    else:
        rows = predictor.predict_many(sounds, 1, _adapter(predictor, body, "off"), **options.words())
    return [replace(row, path=upload.name) for row, upload in zip(rows, body.uploads, strict=True)]
