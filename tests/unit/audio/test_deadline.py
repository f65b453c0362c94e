"""Work ends at its deadline, wherever it is by then."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from patience import PATIENCE_S

from earnest.audio.activity import SileroActivity
from earnest.audio.deadline import Deadline, check_deadline, current_deadline, stopped_at_deadline, until
from earnest.audio.io import open_audio
from earnest.errors import AudioError, TooLateError

SECOND = np.zeros(16_000, np.float32)


def test_without_a_deadline_nothing_ends() -> None:
    check_deadline()
    assert current_deadline().left_s == float("inf")
    with stopped_at_deadline(lambda: pytest.fail("stopped")):
        pass


def test_the_earlier_of_two_holds_and_says_its_own_words() -> None:
    with Deadline(0, "first", AudioError), Deadline(60), pytest.raises(AudioError, match="first"):
        check_deadline()
    with Deadline(60):
        with Deadline(0, "second"), pytest.raises(TooLateError, match="second"):
            check_deadline()
        check_deadline()
    check_deadline()


def test_a_deadline_belongs_to_its_thread() -> None:
    with Deadline(0), ThreadPoolExecutor(1) as pool:
        pool.submit(check_deadline).result()


def test_others_that_wait_for_the_same_work_may_have_more_time() -> None:
    with Deadline(0), until(Deadline(60)):
        check_deadline()


def test_decoding_and_voice_activity_end() -> None:
    with open_audio((np.tile(SECOND, 100), 16_000)) as stream:
        next(stream.blocks)
        with Deadline(0), pytest.raises(TooLateError):
            next(stream.blocks)
    with Deadline(0), pytest.raises(TooLateError):
        SileroActivity().probabilities(SECOND[: 512 * 31].reshape(-1, 512))


def test_who_waits_in_foreign_code_is_stopped_and_told_why() -> None:
    def wait() -> None:
        gone_on = threading.Event()
        with Deadline(0.2, "too late"), stopped_at_deadline(gone_on.set):
            assert gone_on.wait(PATIENCE_S)
            raise RuntimeError("I was interrupted")

    with ThreadPoolExecutor(2) as pool:
        for waiting in [pool.submit(wait) for _ in range(2)]:
            with pytest.raises(TooLateError, match="too late"):
                waiting.result(PATIENCE_S)


def test_who_ends_in_time_is_not_stopped() -> None:
    stopped: list[int] = []
    with Deadline(0.2), stopped_at_deadline(lambda: stopped.append(1)):
        pass
    later = threading.Event()
    with Deadline(0.3), pytest.raises(TooLateError), stopped_at_deadline(later.set):
        assert later.wait(PATIENCE_S)  # by now, whoever watches has passed the first deadline
        check_deadline()
    assert stopped == []


def test_an_error_before_the_deadline_stays_what_it_is() -> None:
    with Deadline(60), pytest.raises(ZeroDivisionError), stopped_at_deadline(lambda: None):
        raise ZeroDivisionError
