"""What a thread does for one request."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, TypeAlias

from earnest.apps.server.body import Upload
from earnest.runtime.adaptation import Adapter
from earnest.runtime.prediction import Options, Prediction
from earnest.runtime.predictor import Predictor
from earnest.runtime.timeline import Timeline
from earnest.runtime.windows import Windowing

Adapt: TypeAlias = Literal["auto", "off"]


def adapter_for(predictor: Predictor, adapt: Adapt) -> Adapter | None:
    """Return what gets used to one voice, None for "off" and where the model can't."""
    return predictor.adapter() if adapt == "auto" and predictor.info.adaptation else None


def utterance(predictor: Predictor, upload: Upload, adapt: Adapt, options: Options) -> Prediction:
    """Predict one recording; `AudioError` when it can't be read."""
    answer = predictor.predict(upload.data, adapter_for(predictor, adapt), **options.words())
    return replace(answer, path=upload.name)


def timeline(
    predictor: Predictor, upload: Upload, adapt: Adapt, windowing: Windowing, most_s: float, options: Options
) -> Timeline:
    """Tell the emotion over time; `AudioError` when it can't be read."""
    answer = predictor.timeline(upload.data, windowing, adapter_for(predictor, adapt), most_s, **options.words())
    return replace(answer, prediction=replace(answer.prediction, path=upload.name))


def batch(predictor: Predictor, uploads: Sequence[Upload], options: Options) -> list[Prediction]:
    """Predict many recordings in their order; what can't be read is a row with status "error"."""
    rows = predictor.predict_many([upload.data for upload in uploads], **options.words())
    return [replace(row, path=upload.name) for row, upload in zip(rows, uploads, strict=True)]
