"""Child processes decode what this process decodes, sample for sample, and die alone."""

import errno
import io
import logging
import os
import signal
import socket
import sys
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from patience import PATIENCE_S, wait_for

from attacks import decoding
from earnest.audio.deadline import Deadline, check_deadline
from earnest.audio.io import open_audio
from earnest.audio.source import Source
from earnest.errors import AudioError, DecoderDiedError, EarnestError, RecordingTooLongError, TooLateError
from earnest.runtime import decoder_process
from earnest.runtime.decoder_child import Kind, WireError, error_of, packed, read_message
from earnest.runtime.decoders import DecoderPool, InProcess, start_decoders
from earnest.runtime.picture import Picture, read_picture
from earnest.testing.sounds import voice, write_voice

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="descriptors don't travel there")


@pytest.fixture(scope="module")
def pool() -> Iterator[DecoderPool]:
    with DecoderPool(1) as pool:
        yield pool


def coded(container: str, coding: str, rate_hz: int = 48_000, n_channels: int = 2) -> bytes:
    file = io.BytesIO()
    sound = np.stack([voice(2.0, sample_rate_hz=rate_hz, seed=seed) for seed in range(n_channels)], axis=1)
    soundfile.write(file, sound, rate_hz, format=container, subtype=coding)
    return file.getvalue()


def heard(opener: Any, source: Source, max_seconds: float = 60.0) -> tuple[Any, ...]:
    with opener(source, max_seconds) as stream:
        sound = np.concatenate(list(stream.blocks))
        return stream.name, stream.sample_rate_hz, stream.n_channels, stream.encoding, sound.dtype, sound.tobytes()


SOUNDS = [
    ("WAV", "PCM_16"),
    ("WAV", "FLOAT"),
    ("WAV", "IMA_ADPCM"),
    ("FLAC", "PCM_24"),
    ("OGG", "VORBIS"),
    ("OGG", "OPUS"),
    ("MP3", "MPEG_LAYER_III"),
    ("AIFF", "PCM_16"),
    ("CAF", "ALAC_16"),
    ("AU", "ULAW"),
]


@pytest.mark.parametrize(("container", "coding"), SOUNDS)
def test_samples_are_the_same_bit_for_bit(pool: DecoderPool, container: str, coding: str) -> None:
    sound = coded(container, coding)
    assert heard(pool.open_audio, sound) == heard(open_audio, sound)


def test_so_are_those_of_files_streams_arrays_and_containers(pool: DecoderPool, tmp_path: Path) -> None:
    pytest.importorskip("av")
    path = write_voice(tmp_path / "clip.wav")
    media = decoding.media("mp4", 10.0, 48_000, 2)
    for source in (path, str(path), media, (voice(1.0), 16_000)):
        assert heard(pool.open_audio, source) == heard(open_audio, source)
    assert heard(pool.open_audio, io.BytesIO(path.read_bytes()))[1:] == heard(open_audio, path)[1:]


def test_so_is_a_long_recording_with_back_pressure(pool: DecoderPool) -> None:
    sound = decoding.flac(50, 192_000, 2)
    assert heard(pool.open_audio, sound) == heard(open_audio, sound)


def test_so_are_pictures(pool: DecoderPool) -> None:
    pytest.importorskip("PIL")
    log_mel = np.random.default_rng(0).uniform(-80, 0, (64, 100)).astype(np.float32)
    png = Picture(log_mel, {"n_mels": 64}, 1.0).to_png()
    there, here = pool.read_picture(png), read_picture(png)
    assert np.array_equal(there.log_mel, here.log_mel)
    assert (there.front_end, there.duration_s) == (here.front_end, here.duration_s)


BAD: list[Source] = [
    b"",
    b"a text",
    bytes(100),
    b"RIFF\0\0\0\0WAVE",
    coded("WAV", "PCM_16")[:-5_000],
    decoding.flac(90, 8_000, 1),
    decoding.flac(590, 1_000_000, 8),
    b"\0\0\0\x18ftypM4A " + bytes(100),
    "/nowhere/at-all.wav",
    "/",
    "/dev/null",
]


@pytest.mark.parametrize("bad", BAD, ids=map(str, range(len(BAD))))
def test_errors_are_the_same_too(pool: DecoderPool, bad: Source) -> None:
    errors = []
    for opener in (open_audio, pool.open_audio):
        with pytest.raises(AudioError) as caught:
            heard(opener, bad)
        errors.append((type(caught.value), str(caught.value)))
    assert errors[0] == errors[1]


def test_bad_pictures_are_the_same_errors(pool: DecoderPool) -> None:
    for bad in (decoding.png(100_000, 100_000), decoding.png(8, 8), decoding.text_bomb(2**22), b"\x89PNG\r\n\x1a\n"):
        errors = []
        for read in (read_picture, pool.read_picture):
            with pytest.raises(AudioError) as caught:
                read(bad)
            errors.append(str(caught.value))
        assert errors[0] == errors[1]


def test_one_process_does_all_that(pool: DecoderPool) -> None:
    before = pool.pids()
    for _ in range(5):
        heard(pool.open_audio, coded("WAV", "PCM_16"))
        with pytest.raises(AudioError):
            heard(pool.open_audio, b"a text")
        with pytest.raises(RecordingTooLongError):
            heard(pool.open_audio, coded("WAV", "PCM_16"), 1.0)
    assert pool.pids() == before
    assert len(before) == 1


LONG = decoding.flac(50, 192_000, 2)


def test_a_job_that_nobody_reads_to_its_end_is_stopped(pool: DecoderPool) -> None:
    before = pool.pids()
    with pool.open_audio(LONG, 600) as stream:
        next(stream.blocks)
    assert pool.pids() == before
    assert heard(pool.open_audio, b"RIFF" + coded("WAV", "PCM_16")[4:])


def test_a_job_whose_client_has_left_is_stopped_and_costs_no_process(
    pool: DecoderPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoder_process, "LATE_STOP_S", PATIENCE_S)  # on a busy machine too
    expected = heard(pool.open_audio, coded("WAV", "PCM_16"))
    before = pool.pids()
    for _ in range(3):
        deadline = Deadline(PATIENCE_S)
        with pytest.raises(TooLateError), deadline, pool.open_audio(LONG, 600) as stream:
            next(stream.blocks)
            deadline.end()
            list(stream.blocks)
        assert heard(pool.open_audio, coded("WAV", "PCM_16")) == expected
    assert pool.pids() == before


def test_a_process_of_whose_message_a_part_was_read_is_not_used_again(
    pool: DecoderPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = heard(pool.open_audio, coded("WAV", "PCM_16"))
    before = pool.pids()
    read = decoder_process._Link.read
    deadline = Deadline(PATIENCE_S)

    def ended_within(link: Any, n_bytes: int) -> bytes:
        data = read(link, n_bytes)
        deadline.end()
        check_deadline()
        return data

    with pytest.raises(TooLateError), deadline, pool.open_audio(LONG, 600) as stream:
        next(stream.blocks)
        monkeypatch.setattr(decoder_process._Link, "read", ended_within)
        list(stream.blocks)
    monkeypatch.undo()
    assert heard(pool.open_audio, coded("WAV", "PCM_16")) == expected
    assert pool.pids() != before


def test_a_process_that_never_stops_talking_is_ended(pool: DecoderPool, monkeypatch: pytest.MonkeyPatch) -> None:
    heard(pool.open_audio, coded("WAV", "PCM_16"))
    before = pool.pids()
    block = Kind.BLOCK, np.zeros(100, np.float32).tobytes()
    with pool.open_audio(LONG, 600) as stream:
        next(stream.blocks)
        monkeypatch.setattr(decoder_process, "read_message", lambda _: block)
    monkeypatch.undo()
    assert heard(pool.open_audio, coded("WAV", "PCM_16"))
    assert pool.pids() != before


def test_a_process_that_dies_is_one_error_and_replaced(pool: DecoderPool, caplog: pytest.LogCaptureFixture) -> None:
    before = pool.pids()
    with pool.open_audio(LONG, 600) as stream, caplog.at_level(logging.WARNING):
        next(stream.blocks)
        os.kill(pool.pids()[0], signal.SIGKILL)
        with pytest.raises(DecoderDiedError, match=r"ended the process that decoded it \(killed\). Convert it"):
            list(stream.blocks)
    assert "A decoder process died" in caplog.text
    assert heard(pool.open_audio, LONG, 600)
    assert pool.pids() != before


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="recordings are handed on in memory on Linux only")
def test_where_the_system_has_no_file_left_neither_recording_nor_process_is_blamed(
    pool: DecoderPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard(pool.open_audio, coded("WAV", "PCM_16"))
    before = pool.pids()

    def full(name: str) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(os, "memfd_create", full)
    with pytest.raises(EarnestError, match="no more files or memory") as error:
        heard(pool.open_audio, coded("WAV", "PCM_16"))
    assert not isinstance(error.value, AudioError)
    monkeypatch.undo()
    assert heard(pool.open_audio, coded("WAV", "PCM_16"))
    assert pool.pids() == before


def test_one_that_died_while_nothing_was_to_do_costs_nothing(pool: DecoderPool) -> None:
    heard(pool.open_audio, coded("WAV", "PCM_16"))
    (before,) = pool.pids()
    os.kill(before, signal.SIGSEGV)
    wait_for(lambda: b"Z" in Path(f"/proc/{before}/stat").read_bytes().rpartition(b")")[2].split()[0])
    assert heard(pool.open_audio, coded("WAV", "PCM_16"))


@pytest.mark.skipif(sys.platform != "linux", reason="memory is bounded on Linux only")
def test_memory_without_end_is_an_error(pool: DecoderPool, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = decoding.png(2_000, 2_000)  # within bounds
    with pytest.raises(AudioError, match="only its pictures can be read back"):
        pool.read_picture(pixels)
    (pid,) = pool.pids()
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    held = {line.partition(":")[0]: line.split()[1] for line in status.splitlines() if line.startswith("Vm")}
    limits = Path(f"/proc/{pid}/limits").read_text(encoding="ascii")
    most = int(next(line for line in limits.splitlines() if line.startswith("Max address space")).split()[3])
    assert most < int(held["VmSize"]) * 1024 + 160 * 2**20
    assert int(held["VmHWM"]) < 200 * 1024


def test_what_needs_too_much_memory_is_told_what_helps_a_wav_file_too(pool: DecoderPool) -> None:
    with pytest.raises(AudioError, match=r"too much memory to be decoded\. Convert it to a WAV file of one channel\.$"):
        heard(pool.open_audio, decoding.wav(0.24, 1_000_000, 256), 600.0)


def test_a_deadline_ends_a_process_that_hangs(pool: DecoderPool) -> None:
    heard(pool.open_audio, coded("WAV", "PCM_16"))
    (before,) = pool.pids()
    os.kill(before, signal.SIGSTOP)
    with Deadline(0.3), pytest.raises(TooLateError):
        heard(pool.open_audio, coded("WAV", "PCM_16"))
    assert heard(pool.open_audio, coded("WAV", "PCM_16"))
    assert before not in pool.pids()


def test_who_has_no_time_to_wait_for_the_start_of_a_process_leaves_it_to_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with DecoderPool(1) as pool:
        before = pool.pids()
        with monkeypatch.context() as patched:
            patched.setattr(
                decoder_process.DecoderProcess, "_has_message", lambda child: False
            )  # it has not started yet
            for _ in range(3):
                with Deadline(0.001), pytest.raises(TooLateError):
                    heard(pool.open_audio, coded("WAV", "PCM_16"))
        assert heard(pool.open_audio, coded("WAV", "PCM_16")) and pool.pids() == before
    monkeypatch.setattr(decoder_process, "START_S", 0.0)  # one that hangs is given up
    with DecoderPool(1) as pool:
        before = pool.pids()
        with Deadline(0.001), pytest.raises(TooLateError):
            heard(pool.open_audio, coded("WAV", "PCM_16"))
        wait_for(lambda: pool.pids() and pool.pids() != before)


def test_a_deadline_holds_for_who_waits_for_a_process(pool: DecoderPool) -> None:
    with pool.open_audio(LONG, 600) as stream, ThreadPoolExecutor(1) as threads:
        next(stream.blocks)

        def wait() -> None:
            with Deadline(0.1):
                heard(pool.open_audio, LONG, 600)

        with pytest.raises(TooLateError):
            threads.submit(wait).result(PATIENCE_S)


def test_processes_are_renewed_after_many_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder_process, "MOST_JOBS", 3)
    with DecoderPool(1) as pool:
        seen = set()
        for _ in range(7):
            heard(pool.open_audio, coded("WAV", "PCM_16"))
            seen.update(pool.pids())
    assert len(seen) >= 2


def test_many_threads_share_few_processes() -> None:
    sound = coded("OGG", "VORBIS")
    expected = heard(open_audio, sound)
    with DecoderPool(2) as pool, ThreadPoolExecutor(8) as threads:
        assert list(threads.map(lambda _: heard(pool.open_audio, sound) == expected, range(40))) == [True] * 40
        wait_for(lambda: len(pool.pids()) == 2)


def test_threads_that_end_leave_the_processes_alive() -> None:
    with DecoderPool(1) as pool:
        for _ in range(3):
            thread = threading.Thread(target=heard, args=(pool.open_audio, coded("WAV", "PCM_16")))
            thread.start()
            thread.join()
        (pid,) = pool.pids()
        os.kill(pid, signal.SIGKILL)
        thread = threading.Thread(target=heard, args=(pool.open_audio, coded("WAV", "PCM_16")))
        thread.start()  # the next process is started on behalf of this one
        thread.join()
        after = pool.pids()
        assert heard(pool.open_audio, coded("WAV", "PCM_16"))
        assert pool.pids() == after


def test_a_spare_process_takes_the_place_of_one_that_died() -> None:
    with DecoderPool(1, spares=1) as pool:
        heard(pool.open_audio, coded("WAV", "PCM_16"))
        first, spare = pool.pids()[::-1]  # the warm one is taken first
        with pool.open_audio(LONG, 600) as stream:
            next(stream.blocks)
            os.kill(first, signal.SIGKILL)
            with pytest.raises(DecoderDiedError):
                deque(stream.blocks, maxlen=0)
        with pool.open_audio(LONG, 600) as stream:
            next(stream.blocks)
            assert pool.pids()[-1] == spare
        wait_for(lambda: len(pool.pids()) == 2)


def test_one_that_died_while_it_waited_is_replaced() -> None:
    with DecoderPool(1, spares=1) as pool:
        heard(pool.open_audio, coded("WAV", "PCM_16"))
        first, spare = pool.pids()[::-1]
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: not Path(f"/proc/{first}/cmdline").read_bytes())
        assert heard(pool.open_audio, coded("WAV", "PCM_16"))
        wait_for(lambda: len(pool.pids()) == 2)
        assert first not in pool.pids() and spare in pool.pids()


def test_a_closed_pool_has_no_processes_left() -> None:
    pool = DecoderPool(2)
    pool.confinement()
    pids = pool.pids()
    with pool.open_audio(LONG, 600) as stream:
        next(stream.blocks)
        pool.close()
        with pytest.raises(EarnestError):
            list(stream.blocks)
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    with pytest.raises(EarnestError, match="closed"):
        heard(pool.open_audio, LONG)


def test_a_process_that_starts_is_ended_by_us_alone() -> None:
    with DecoderPool(1) as pool:
        for number in (signal.SIGTERM, signal.SIGINT):  # as `timeout` and Ctrl-C send them to all of a group
            os.kill(pool.pids()[0], number)
        assert pool.confinement()


def test_where_no_process_starts_this_one_decodes(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(decoder_process, "_PROGRAM", "raise SystemExit(1)")
    with caplog.at_level(logging.WARNING):
        assert isinstance(start_decoders(1), InProcess)
    assert "no decoder process starts (A decoder process ended as it started (" in caplog.text
    monkeypatch.delattr(socket, "AF_UNIX")
    assert isinstance(start_decoders(1), InProcess)


def test_a_folder_of_scripts_may_hold_a_file_that_is_called_like_a_module_of_pythons(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("json.py", "types.py"):  # which this process has long imported
        (tmp_path / name).write_text("raise SystemExit('of the script')")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path, tmp_path])  # the last is none for Python
    with DecoderPool(1) as pool:
        pool.confinement()
        assert heard(pool.open_audio, coded("WAV", "PCM_16")) == heard(open_audio, coded("WAV", "PCM_16"))


def test_secrets_of_the_environment_stay_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARNEST_API_KEYS", "secret")
    assert "secret" not in decoder_process._environment().values()


@pytest.mark.parametrize(
    "said",
    [b"", b"b", b"x\0\0\0\1a", b"b\xff\xff\xff\xff", b"b\0\0\0\4abc", b"o\0\0\0\2[]", b"o\0\0\0\2{{"],
)
def test_what_is_no_message_is_an_error(said: bytes) -> None:
    with pytest.raises(WireError):
        kind, payload = read_message(io.BytesIO(said))
        assert kind is Kind.OPENED
        error_of(payload)


def test_what_a_process_says_is_fit_for_a_terminal() -> None:
    told = b'{"type": "AudioError", "told": "a\\u001b[31m\\u202e' + b"x" * 5_000 + b'"}'
    kind, payload = read_message(io.BytesIO(packed(Kind.ERROR, len(told)) + told))
    assert kind is Kind.ERROR
    error = error_of(payload)
    assert isinstance(error, AudioError)
    assert str(error).isprintable()
    assert len(str(error)) == 1_000


@pytest.mark.parametrize("samples", [[np.nan], [np.inf], [1e30]])
def test_samples_of_a_process_are_checked_once_more(
    pool: DecoderPool, samples: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoder_process.DecoderProcess, "blocks", lambda _: iter([np.array(samples, np.float32)]))
    with pytest.raises(AudioError):
        heard(pool.open_audio, coded("WAV", "PCM_16"))


def test_where_the_system_has_no_seccomp_limits_remain(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    without = "import earnest.audio.confinement as c; c._seccomp = c._landlock = lambda _: False; "
    monkeypatch.setattr(decoder_process, "_PROGRAM", without + decoder_process._PROGRAM)
    with caplog.at_level(logging.INFO):
        pool = start_decoders(1)
    try:
        assert "confined by rlimits" in caplog.text
        sound = coded("FLAC", "PCM_16")
        assert heard(pool.open_audio, sound) == heard(open_audio, sound)
    finally:
        pool.close()
