"""What trimming leaves behind the longest clip of a batch never reaches the network."""

from typing import Any, Literal

import numpy as np
import onnxruntime
import pytest
import torch
from voices import voice

from earnest.audio.waveform import Waveform
from earnest.export.onnx import to_onnx
from earnest.models.classifier import SpeechClassifier, build_classifier
from earnest.onnx.cut import CUT, part_of
from earnest.settings.front_end import FrontEnd
from earnest.settings.recipe import Recipe

RATE_HZ = 16_000
WITHIN = 1e-5


def model_of(trim: Literal["peak", "gradient", "none"]) -> SpeechClassifier:
    front_end = FrontEnd(RATE_HZ, n_fft=400, win_length=400, hop_length=160, n_mels=40, trim=trim)
    network = {"width": 16, "n_blocks": 1, "feed_forward_width": 32, "token_width": 24}
    recipe = Recipe("made-up", "student-statistics", front_end=front_end, network=network)
    return build_classifier(recipe, ("neutral", "happy", "sad"), seed=0).eval()


def between_silences(seconds: float, silence_s: float = 1.0) -> Waveform:
    silence = np.zeros(round(silence_s * RATE_HZ), np.float32)
    return np.concatenate([silence, voice(seconds), silence])


def heard(graph: bytes, waveforms: list[Waveform], names: list[str]) -> Any:
    waveform = torch.nn.utils.rnn.pad_sequence([torch.from_numpy(one) for one in waveforms], batch_first=True)
    lengths = np.array([len(one) for one in waveforms])
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return session.run(names, {"waveform": waveform.numpy(), "lengths": lengths})


@pytest.mark.parametrize("trim", ["peak", "gradient"])
def test_as_many_frames_go_on_as_the_longest_clip_keeps_and_the_answer_stays(trim: Literal["peak", "gradient"]) -> None:
    model, clips = model_of(trim), [between_silences(1.0), between_silences(0.4)]
    graph = to_onnx(model).SerializeToString()
    frames, n_frames = heard(part_of(graph, "front_end"), clips, list(CUT))
    assert frames.shape[2] == n_frames.max() < 150  # of 301
    (found,) = heard(graph, clips, ["embedding"])
    for clip, embedding in zip(clips, found, strict=True):
        with torch.no_grad():
            wanted = model(torch.from_numpy(clip)[None], torch.tensor([len(clip)]))["embedding"][0].numpy()
        assert np.abs(embedding - wanted).max() < WITHIN


def test_next_to_nothing_heard_leaves_what_the_tracer_saw_at_least() -> None:
    click = np.zeros(RATE_HZ, np.float32)
    click[RATE_HZ // 2] = 0.5
    graph = to_onnx(model_of("peak")).SerializeToString()
    frames, n_frames = heard(part_of(graph, "front_end"), [click], list(CUT))
    assert n_frames.max() <= 4 < frames.shape[2] <= 11


def test_without_trimming_all_frames_go_on() -> None:
    graph = to_onnx(model_of("none")).SerializeToString()
    frames, _ = heard(part_of(graph, "front_end"), [between_silences(1.0)], list(CUT))
    assert frames.shape[2] == 301
