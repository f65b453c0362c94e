"""Changes to log-mel frames that stand for changes to the sound: nearly free, where recomputing frames is not.

On batches: masks over time and frequency (Park et al., 2019) and mixup (Zhang et al., 2018). On an utterance
(`changed`): time stretching without pitch, another length of the throat (Jaitly and Hinton, 2013), another microphone,
quieter pauses, a room, noise (powers add), a narrow band, a part of an utterance and masks. Utterances played backwards
or spliced from several make sounds follow each other as nobody said them: for networks that should know speech beyond
the few sentences of their corpus.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from earnest.augment.noise_files import NoiseFiles, noise_recording
from earnest.frontends.log_mel import LogMel, compute_frames
from earnest.settings.front_end import FrontEnd
from earnest.settings.recipe import FrameChanges


def mask_time(frames: Tensor, n_frames: Tensor, longest: int, generator: torch.Generator) -> Tensor:
    """Replace one stretch of up to ``longest`` frames an utterance (at most a fifth of it) by the utterance's mean.

    Parameters
    ----------
    frames : (batch, n_mels, frames)
    n_frames : (batch,)

    Returns
    -------
    (batch, n_mels, frames), a new tensor
    """
    # SpecAugment (Park et al., 2019, 2): length ~ U[0, T], start ~ U[0, τ − length).
    length = (_uniform(frames, generator) * (n_frames / 5).clamp(max=float(longest))).round()
    start = (_uniform(frames, generator) * (n_frames - length)).floor()
    positions = torch.arange(frames.shape[2], device=frames.device)[None, :]
    hidden = (positions >= start[:, None]) & (positions < (start + length)[:, None])
    return torch.where(hidden[:, None], _clip_mean(frames, n_frames), frames)


def mask_bands(frames: Tensor, n_frames: Tensor, most: int, generator: torch.Generator, n_versions: int = 1) -> Tensor:
    """Replace up to ``most`` neighbouring mel bands an utterance by the utterance's mean; shapes as in `mask_time`.

    Parameters
    ----------
    n_versions : of each utterance, whose bands lie below one another; the same ones are hidden in all of them
    """
    n_mels = frames.shape[1] // n_versions
    # Width ~ U[0, F], first band ~ U[0, ν − width), ν being the number of bands.
    width = (_uniform(frames, generator) * most).round()
    start = (_uniform(frames, generator) * (n_mels - width)).floor()
    bands = torch.arange(n_mels, device=frames.device)[None, :]
    hidden = ((bands >= start[:, None]) & (bands < (start + width)[:, None])).repeat(1, n_versions)
    return torch.where(hidden[:, :, None], _clip_mean(frames, n_frames), frames)


def mix_up(
    frames: Tensor, n_frames: Tensor, targets: Tensor, alpha: float, generator: torch.Generator, dominant: bool = True
) -> tuple[Tensor, Tensor, Tensor]:
    """Blend each utterance with another of the batch, in shares drawn from Beta(alpha, alpha).

    Parameters
    ----------
    targets : (batch, values), blended as the utterances are
    dominant : the larger share stays with the utterance itself (NTU's variant)

    Returns
    -------
    frames (batch, n_mels, frames), their number (batch,), targets (batch, values)
    """
    order = torch.randperm(len(frames), generator=generator).to(frames.device)
    # Beta(a, a) as a ratio of gammas, because torch's own sampler takes no generator.
    gammas = torch._standard_gamma(torch.full((2, len(frames)), alpha), generator=generator) + 1e-12
    share = (gammas[0] / gammas.sum(dim=0)).to(frames.device)
    share = torch.maximum(share, 1 - share) if dominant else share
    both = torch.maximum(n_frames, n_frames[order])
    # mixup (Zhang et al., 2018): λ·x_i + (1 − λ)·x_j, and targets alike.
    mixed = share[:, None, None] * frames + (1 - share)[:, None, None] * frames[order]
    return mixed, both, share[:, None] * targets + (1 - share)[:, None] * targets[order]


def _uniform(frames: Tensor, generator: torch.Generator) -> Tensor:
    """Draw one number from 0 to 1 an utterance, (batch,): on the processor, so that a device draws the same ones."""
    return torch.rand(len(frames), generator=generator).to(frames.device)


def _clip_mean(frames: Tensor, n_frames: Tensor) -> Tensor:
    inside = (torch.arange(frames.shape[2], device=frames.device)[None, :] < n_frames[:, None])[:, None]
    # Over the utterance's own frames and all bands, (batch, 1, 1).
    return ((frames * inside).sum(dim=(1, 2)) / (n_frames * frames.shape[1]))[:, None, None]


DECIBELS = 10.0
TINY = 1e-12
MOST_PIECES, PIECE_FRAMES = 4, (20, 90)  # of other utterances that take a place in a spliced one, and their lengths
SHORTEST_PART = 0.6  # of an utterance that a crop leaves
WARP_RANGE = (0.82, 1.22)  # of factors by which mel bands move
WARP_SLOPE_DB = 1.5  # a band, above what a warped utterance knows
EXPANSION_DB = (25.0, 50.0)  # below the peak, from there on an expander makes what is quiet quieter
N_COLOURS, COLOUR_DB = 7, 4.0  # bands of another microphone, and the deviation of their gains
RT60_FRAMES, DIRECT_DB = (20.0, 100.0), (-6.0, 10.0)  # of rooms, see `reverberant`
LOWEST_BAND, HIGHEST_BAND = 50, 62  # a narrow band ends at one drawn from here
MASK_BANDS, MASK_FRAMES = 10, 20  # most that a mask hides


def changed(
    frames: Tensor,
    changes: FrameChanges,
    noises: Sequence[Tensor],
    top_db: float,
    rng: np.random.Generator,
    others: Sequence[Tensor] = (),
) -> Tensor:
    """Return an utterance's frames changed at random; what comes in stays as it is.

    Parameters
    ----------
    frames : (n_mels, frames), decibels
    noises : frames of noise, each (n_mels, frames); without any, no noise is added
    top_db : the front end's: nothing lies further below the loudest value
    others : utterances that pieces are taken from, each (n_mels, frames); without any, nothing is spliced
    """
    return another_recording(another_speech(frames, changes, top_db, rng, others), changes, noises, top_db, rng)


def another_speech(
    frames: Tensor, changes: FrameChanges, top_db: float, rng: np.random.Generator, others: Sequence[Tensor] = ()
) -> Tensor:
    """Change what is said, how fast and by which throat; parameters as of `changed`."""
    if _happens(changes.backward, rng):
        frames = frames.flip(1)
    if others and _happens(changes.spliced, rng):
        frames = _spliced(frames, others, rng)
    if rng.random() < changes.crop:
        n_kept = max(1, int(frames.shape[1] * rng.uniform(SHORTEST_PART, 1)))
        start = int(rng.integers(frames.shape[1] - n_kept + 1))
        frames = frames[:, start : start + n_kept]
    if rng.random() < changes.stretch:
        n_frames = max(1, int(frames.shape[1] * rng.uniform(*changes.stretch_range)))
        # Along time alone: bands stay where they are, and with them the pitch.
        frames = functional.interpolate(frames[None], size=n_frames, mode="linear")[0]
    if _happens(changes.warped, rng):
        frames = _as_loud(_warped(frames, rng.uniform(*WARP_RANGE)), frames, top_db)
    return frames


def another_recording(
    frames: Tensor, changes: FrameChanges, noises: Sequence[Tensor], top_db: float, rng: np.random.Generator
) -> Tensor:
    """Change pauses, microphone, room, noise, band and what is heard at all, not the length; as `changed`."""
    frames = _another_microphone(frames, changes, top_db, rng)
    if _happens(changes.reverberant, rng):
        frames = reverberant(frames, rng.uniform(*RT60_FRAMES), rng.uniform(*DIRECT_DB), top_db)
    if noises and rng.random() < changes.noisy:
        noise = noises[int(rng.integers(len(noises)))]
        frames = with_noise(frames, noise, rng.uniform(*changes.snr_db), top_db, int(rng.integers(noise.shape[1])))
    if rng.random() < changes.narrow:
        frames = frames.clone()
        # All bands from a drawn one on are at the floor; without one they are as low as anything is.
        floor = frames.max() - top_db if math.isfinite(top_db) else frames.min()
        frames[int(rng.integers(LOWEST_BAND, HIGHEST_BAND + 1)) :] = floor
    if rng.random() < changes.masked:
        frames = _masked(frames, rng)
    return frames


def _happens(share: float, rng: np.random.Generator) -> bool:
    """Draw only where there is a chance, so that what a recipe leaves out does not change what it draws."""
    return share > 0 and rng.random() < share


def _spliced(frames: Tensor, others: Sequence[Tensor], rng: np.random.Generator) -> Tensor:
    frames = frames.clone()
    for _ in range(int(rng.integers(1, MOST_PIECES + 1))):
        other = others[int(rng.integers(len(others)))]
        length = int(rng.integers(PIECE_FRAMES[0], PIECE_FRAMES[1] + 1))
        length = min(length, frames.shape[1], other.shape[1])
        start, first = (int(rng.integers(one.shape[1] - length + 1)) for one in (frames, other))
        frames[:, start : start + length] = other[:, first : first + length]
    return frames


def _another_microphone(frames: Tensor, changes: FrameChanges, top_db: float, rng: np.random.Generator) -> Tensor:
    before = frames
    if _happens(changes.expanded, rng):
        # An expander: what lies more than a threshold below the peak is moved down, in proportion.
        below = frames.max() - rng.uniform(*EXPANSION_DB) - frames
        # L' = L − r·max(threshold − L, 0)
        frames = frames - below.clamp(min=0) * rng.uniform(0.3, 2)
    if _happens(changes.coloured, rng):
        # A smooth frequency response: seven gains in dB, linear between.
        gains = torch.from_numpy(rng.normal(0, COLOUR_DB, N_COLOURS).astype(np.float32))
        smooth = functional.interpolate(gains[None, None], size=len(frames), mode="linear", align_corners=True)
        frames = frames + smooth[0, 0][:, None]
    return frames if frames is before else _as_loud(frames, before, top_db)


def _as_loud(frames: Tensor, before: Tensor, top_db: float) -> Tensor:
    # L' = L + 10·log10(mean power before/after), and nothing further below the peak than top_db.
    louder = DECIBELS * (_power(before).mean() / (_power(frames).mean() + TINY)).log10()
    return (frames + louder).clamp(min=float((frames + louder).max()) - top_db)


def reverberant(frames: Tensor, rt60_frames: float, direct_db: float, top_db: float) -> Tensor:
    """Let each frame's power die away over those behind it, as in a room (Polack, 1988), and keep the level.

    Parameters
    ----------
    rt60_frames : after so many the reverberation has lost 60 dB
    direct_db : what arrives directly, against all that does not
    """
    # h(t) ∝ 10^(−6·t/T60): power has lost 60 dB after T60 frames.
    n_behind = min(max(1, round(rt60_frames)), frames.shape[1] - 1)
    if n_behind < 1:
        return frames
    tail = torch.pow(10.0, -6 * torch.arange(1, n_behind + 1) / rt60_frames)
    # 1 for the direct sound; the tail sums to 10^(−DRR/10).
    room = torch.cat([torch.ones(1), tail / tail.sum() * 10 ** (-direct_db / DECIBELS)])
    # Powers of uncorrelated sounds add: a convolution over time, band by band; (n_mels, 1, frames + behind).
    power = functional.pad(_power(frames)[:, None], (n_behind, 0))
    heard = functional.conv1d(power, room.flip(0)[None, None])[:, 0]
    return _as_loud(DECIBELS * (heard + TINY).log10(), frames, top_db)


def _warped(frames: Tensor, factor: float) -> Tensor:
    """Return frames whose band b is what band ``factor``·b was; above the highest there is less and less."""
    # Vocal tract length perturbation: band b takes from position b·α, by linear interpolation between two bands.
    positions = torch.arange(len(frames)) * factor
    low = positions.long().clamp(max=len(frames) - 1)
    high = (low + 1).clamp(max=len(frames) - 1)
    # Beyond the last band nothing is known: the level falls as speech does on average.
    share = (positions - low).clamp(max=1)[:, None]
    beyond = (positions - (len(frames) - 1)).clamp(min=0)[:, None]
    return (1 - share) * frames[low] + share * frames[high] - WARP_SLOPE_DB * beyond


def with_noise(frames: Tensor, noise: Tensor, snr_db: float, top_db: float, start: int = 0) -> Tensor:
    """Add the powers of noise, from its frame ``start`` on and around, at a ratio of mean powers."""
    at = (start + torch.arange(frames.shape[1])) % noise.shape[1]
    power, added = _power(frames), _power(noise[:, at])
    # g = P_speech/(P_noise·10^(SNR/10)); powers add, 10·log10(P + g·N).
    gain = power.mean() / (added.mean() + TINY) * 10 ** (-snr_db / DECIBELS)
    mixed = DECIBELS * (power + gain * added + TINY).log10()
    return mixed.clamp(min=float(mixed.max()) - top_db)


def noise_frames(changes: FrameChanges, settings: FrontEnd) -> list[Tensor]:
    """Return the frames of the noise that the changes name, decoded once."""
    if not changes.noise:
        return []
    front_end = LogMel(settings)
    recordings = NoiseFiles(changes.noise, names=changes.noise_names).recordings
    waveforms = (noise_recording(path, settings.sample_rate_hz) for path, _ in recordings)
    return [compute_frames(front_end, waveform.copy()) for waveform in waveforms if waveform.any()]


def _power(decibels: Tensor) -> Tensor:
    # Power of L decibels: 10^(L/10).
    return torch.pow(10.0, decibels / DECIBELS)


def _masked(frames: Tensor, rng: np.random.Generator) -> Tensor:
    frames, mean = frames.clone(), frames.mean()
    for dimension, most in ((0, MASK_BANDS), (1, MASK_FRAMES)):
        size = frames.shape[dimension]
        width = int(rng.integers(1, most + 1))
        frames.narrow(dimension, int(rng.integers(max(1, size - width))), min(width, size)).fill_(mean)
    return frames
