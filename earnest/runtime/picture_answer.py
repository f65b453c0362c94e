"""What a network says about a spectrogram's picture."""

from collections import deque
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from earnest.audio.source import Source, path_of, source_name
from earnest.audio.speech import Extent
from earnest.bundle import BundleInfo
from earnest.config import from_mapping
from earnest.errors import AudioError, NoPicturesError
from earnest.front_end import FrontEnd
from earnest.runtime.answers import Answers
from earnest.runtime.graph import Network, PictureNetwork
from earnest.runtime.options import Options
from earnest.runtime.picture import Picture
from earnest.runtime.prediction import Prediction
from earnest.runtime.windows import Heard, Over, Windowing


def answer_picture(
    network: Network, info: BundleInfo, source: Source, options: Options, read: Callable[[Source], Picture]
) -> Prediction:
    """Predict from a picture; it hears no level, bandwidth or noise, so there are no quality words.

    Parameters
    ----------
    read : what decodes it, see `earnest.runtime.decoders`

    Raises
    ------
    AudioError
        When it can't be read, or was made for another front end.
    NoPicturesError
        When several answers are averaged, or the model works on raw samples.
    """
    if not isinstance(network, PictureNetwork):
        raise NoPicturesError(f"'{info.name}' can't answer about pictures. Name one model, without variants.")
    name, picture = source_name(source), read(source)
    if dict(picture.front_end) != dict(info.front_end):
        raise AudioError(f"{name}: was made for another front end. Make it again: earnest spectrogram --model …")
    settings = from_mapping(FrontEnd, info.front_end, info.name)
    n_rows, n_frames = picture.log_mel.shape
    n_most = int(info.longest_s * settings.sample_rate_hz) // settings.hop_length + 1
    if n_rows % settings.n_bands or n_frames > n_most:  # networks on several versions of a clip see more bands
        expected = f"{settings.n_bands} rows and at most {n_most} columns"
        raise AudioError(f"{name}: {n_rows} rows and {n_frames} columns, the model takes {expected}.")
    answer = network.run_log_mel(picture.log_mel)
    answers = Answers(info, network.predicted, info.sample_rate_hz, Windowing(), options)
    rate_hz = info.sample_rate_hz
    extent = Extent(0, round(picture.duration_s * rate_hz))
    heard = Heard(extent, 0, np.empty(0, np.float32))
    deque(answers.window(heard, {output: values[0] for output, values in answer.items()}), maxlen=0)
    deque(answers.segment(Over(extent)), maxlen=0)
    told = answers.prediction(path_of(source), is_whole=True)
    return replace(told, duration_s=picture.duration_s, speech_s=None, quality=())
