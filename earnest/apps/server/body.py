"""Bodies of requests: counted while they arrive, held in memory, never on disk."""

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.message import Message
from email.utils import unquote
from io import BytesIO

from starlette.datastructures import FormData, Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from earnest.apps.server.formats import ProblemError
from earnest.apps.server.settings import Limits
from earnest.audio.source import Channel, Source, channel_path
from earnest.errors import printable
from earnest.runtime.profile import MOST_BYTES as MOST_PROFILE_BYTES

NAME_LETTERS = 200
FORM = "multipart/form-data"
RAW = ("audio/", "video/", "image/png", "application/octet-stream", "application/ogg")
MOST_FIELD_BYTES = 1024


NAMELESS = "bytes"  # path of a recording that was sent without a name
THE_RECORDING = "the recording"  # what messages call it, here and in the client and the page
MOST_HEADER_LETTERS = 1024  # of Content-Disposition
# Of a form and of names in headers. Python keeps every name of a charset that it was asked for, for ever.
CHARSETS = ("utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "latin-1")


@dataclass(frozen=True)
class Upload:
    """A recording as it was sent; ``name`` is for answers only, no file of that name is ever opened."""

    name: str
    data: bytes


@dataclass(frozen=True)
class Body:
    """The body of one request: recordings, the channel to hear, and the speaker's profile, as sent."""

    uploads: list[Upload]
    profile: bytes | None = None
    channel: int | None = None

    @property
    def sounds(self) -> list[Source]:
        """The sources to predict, one channel of each or all."""
        files = [upload.data for upload in self.uploads]
        return [Channel(data, self.channel) for data in files] if self.channel else [*files]

    @property
    def names(self) -> list[str]:
        """The names of the recordings in an answer."""
        return [channel_path(upload.name, self.channel) for upload in self.uploads]

    @property
    def told(self) -> str:
        """The name of the one recording in messages."""
        if self.uploads[0].name != NAMELESS:
            return self.names[0]
        return f"{THE_RECORDING}, channel {self.channel}" if self.channel else THE_RECORDING


class BodyBudget:
    """Bytes that all requests together may hold, and those of one client half as many; used by the event loop only.

    Attributes
    ----------
    most_of_client : half of all, but one whole body at least
    by_client : bytes that requests of each client hold
    """

    def __init__(self, limits: Limits) -> None:
        self.n_left = limits.held_bytes
        self.most_of_client = max(limits.held_bytes // 2, limits.body_bytes)
        self.by_client: Counter[str] = Counter()

    @contextmanager
    def share(self, client: str) -> Iterator["Share"]:
        """Give back at the end what was taken."""
        share = Share(self, client)
        try:
            yield share
        finally:
            self.n_left += share.n_taken
            self.by_client[client] -= share.n_taken
            if not self.by_client[client]:  # else every address that ever asked would stay
                del self.by_client[client]


class Share:
    """One request's share of the memory for bodies."""

    def __init__(self, budget: BodyBudget, client: str) -> None:
        self._budget, self._client, self.n_taken = budget, client, 0

    def take(self, n_bytes: int) -> None:
        """Take some more, or raise a `ProblemError`."""
        if n_bytes > self._budget.most_of_client - self._budget.by_client.get(self._client, 0):
            told = "Your other requests use all the memory for bodies of one client."
            raise ProblemError("too-many", f"{told} Wait for their answers.")
        if n_bytes > self._budget.n_left:
            raise ProblemError("overloaded", "Other requests use all the memory for bodies. Try again soon.")
        self._budget.n_left -= n_bytes
        self._budget.by_client[self._client] += n_bytes
        self.n_taken += n_bytes


@dataclass(frozen=True)
class Expected:
    """The body that a route expects: a form with so many files, and perhaps a recording as it is.

    Attributes
    ----------
    raw : how content types begin of a recording as it is
    told, example : which content types there are, and how curl sends one
    limit : what bounds ``most_files``, "" where nothing may change it
    """

    raw: tuple[str, ...]
    told: str
    example: str
    most_files: int
    limit: str = ""

    def refuse_other(self, kind: str) -> None:
        """Raise a `ProblemError` for a content type that is not read here."""
        if kind == FORM or kind.startswith(self.raw):
            return
        told = f"not '{printable(kind[:NAME_LETTERS])}'" if kind else "and it is missing"
        raise ProblemError("not-audio", f"Content-Type must be {self.told}, {told}. With curl: {self.example}.")

    def too_many(self, files: str) -> ProblemError:
        """Return the error for a form with more files."""
        most = f"the most is {self.most_files}{self.limit and f' (the limit {self.limit})'}"
        told = f"The form holds {files} files, {most}."
        if self.limit:
            return ProblemError("too-large", f"{told} Send the others in further requests.")
        return ProblemError("not-valid", f"{told} Send several to POST /v1/batch.")


KINDS = f"audio/…, video/…, application/octet-stream, image/png of a spectrogram, or {FORM}"
ONE = Expected(RAW, KINDS, "-H 'Content-Type: audio/wav'", 1)


def several(most_files: int) -> Expected:
    """Return the body that a route for several recordings expects."""
    return Expected((), FORM, "-F file=@a.wav -F file=@b.wav", most_files, "batch_files")


async def read_body(request: Request, limits: Limits, share: Share, expected: Expected) -> Body:
    """Read a body: one recording as it is, or a form with recordings and perhaps a profile.

    Raises `ProblemError` for a body that is too large, too slow, empty, broken or no sound by its own words.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    expected.refuse_other(kind)
    coding = request.headers.get("content-encoding", "").strip()
    if coding.lower() not in ("", "identity"):
        told = f"Content-Encoding: {printable(coding[:NAME_LETTERS])}"
        raise ProblemError("not-audio", f"{told} is not read. Send the recording as it is, not compressed once more.")
    try:
        async with asyncio.timeout(None) as clock:
            chunks = _counted(request, limits, share, clock)
            if kind == FORM:
                return await _form(request, chunks, expected)
            data = BytesIO()  # not a list of chunks, which would be held once more beside the whole
            async for chunk in chunks:
                data.write(chunk)
            return Body([Upload(_name_in(request.headers), data.getvalue())])
    except TimeoutError:
        told = f"after {limits.body_start_s:g} s with {limits.body_rate:g} bytes a second at least"
        raise ProblemError("body-too-slow", f"The body must arrive within {limits.body_s:g} s, {told}.") from None
    except ClientDisconnect:
        raise ProblemError("not-understood", "The client closed the connection.") from None


async def _counted(
    request: Request, limits: Limits, share: Share, clock: asyncio.Timeout
) -> AsyncGenerator[bytes, None]:
    """Yield what arrives, while it may: not too much, and not too slowly."""
    begun = asyncio.get_running_loop().time()

    def wait_on() -> None:
        clock.reschedule(begun + min(limits.body_s, limits.body_start_s + n_bytes / limits.body_rate))

    most = f"{limits.body_bytes:,} bytes at most (the limit body_bytes)"
    too_large = ProblemError("too-large", f"A body may have {most}. Send it in parts.")
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limits.body_bytes:
        raise too_large
    # What arrives is counted whatever is declared: a chunked body declares nothing.
    n_bytes = 0
    wait_on()
    async for chunk in request.stream():
        n_bytes += len(chunk)
        if n_bytes > limits.body_bytes:
            raise too_large
        share.take(len(chunk))
        wait_on()
        yield chunk


def refuse_large_profile(n_bytes: int) -> None:
    """Raise a `ProblemError` for a profile that is larger than any."""
    if n_bytes > MOST_PROFILE_BYTES:
        told = f"The part 'profile' may have {MOST_PROFILE_BYTES:,} bytes."
        raise ProblemError("too-large", f"{told} Make it again with `earnest adapt`.")


class _MemoryParser(MultiPartParser):
    """Starlette's parser, but files stay in memory: their size is bounded already."""

    spool_max_size = sys.maxsize
    _is_whole = False
    _n_profile = 0

    async def parse(self) -> FormData:
        """Read the form; one that breaks off, whose last part Starlette would leave out, is an error."""
        form = await super().parse()
        if not self._is_whole:
            for file in self._files_to_close_on_error:
                file.close()
            raise MultiPartException("It breaks off before its last boundary, '--…--'.")
        return form

    def on_end(self) -> None:
        """Note the last boundary."""
        self._is_whole = True
        super().on_end()

    def on_headers_finished(self) -> None:
        """Take a part with ``filename*`` alone for a file, too: so clients send names that are not ASCII."""
        part = self._current_part
        part.content_disposition = (part.content_disposition or b"").replace(b"filename*=", b"filename=")
        super().on_headers_finished()

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        """Take some more of a part, of profiles no more than one may have."""
        if self._current_part.field_name == "profile":
            self._n_profile += end - start
            refuse_large_profile(self._n_profile)
        super().on_part_data(data, start, end)


def _refuse_other_charset(headers: Headers) -> None:
    from python_multipart.multipart import parse_options_header

    # Read as Starlette's parser reads it, which looks the charset up.
    charset = parse_options_header(headers["content-type"])[1].get(b"charset", b"utf-8").decode("latin-1")
    if charset.lower() not in CHARSETS:
        told = f"The form's charset is '{printable(charset[:NAME_LETTERS])}'. Leave it out: forms are UTF-8."
        raise ProblemError("not-valid", told)


async def _form(request: Request, chunks: AsyncGenerator[bytes, None], expected: Expected) -> Body:
    _refuse_other_charset(request.headers)
    limits = {"max_files": expected.most_files + 1, "max_fields": 0, "max_part_size": MOST_FIELD_BYTES}
    try:
        form = await _MemoryParser(request.headers, chunks, **limits).parse()
    except MultiPartException as error:
        if error.message.startswith("Too many fields"):
            told = "The form holds a part without filename, which is no file. Give each recording a filename."
            where = "What is asked stands in the address, such as /v1/predict?channel=2."
            raise ProblemError("not-valid", f"{told} {where}") from None
        if error.message.startswith("Too many files"):
            raise expected.too_many("too many") from None
        raise ProblemError("not-valid", f"The form can't be read: {printable(error.message)}") from None
    except (UnicodeError, ValueError, LookupError):
        raise ProblemError("not-valid", "The form can't be read: damaged headers.") from None
    try:
        sent = {
            name: [one for one in form.getlist(name) if isinstance(one, UploadFile)] for name in ("file", "profile")
        }
        files, profiles = sent.values()
        if not files or len(files) + len(profiles) != len(form.multi_items()) or len(profiles) > 1:
            told = "The form must hold files, each in a part with the name 'file', and at most one 'profile'."
            raise ProblemError("not-valid", told)
        if len(files) > expected.most_files:
            raise expected.too_many(str(len(files)))
        uploads = [Upload(_name_in(file.headers), await file.read()) for file in files]
        return Body(uploads, await profiles[0].read() if profiles else None)
    finally:
        await form.close()


def _name_in(headers: Headers) -> str:
    """Return the last part of the file name in a header, whatever system it comes from; `NAMELESS` for none.

    ``filename*`` counts before ``filename`` (RFC 6266). Many clients send UTF-8, which Starlette reads as Latin-1.
    """
    disposition = headers.get("content-disposition", "")
    with suppress(UnicodeError):
        disposition = disposition.encode("latin-1").decode("utf-8")
    message = Message()
    message["Content-Disposition"] = disposition[:MOST_HEADER_LETTERS]
    name = ""
    with suppress(ValueError, TypeError):  # parts of a name of which one has no number
        parameters = message.get_params([], "content-disposition")
        names = [value for name, value in parameters if name.lower() == "filename"]
        name = _told_name(max(names, key=lambda value: isinstance(value, tuple), default=""))
    return printable(name.strip().replace("\\", "/").rpartition("/")[2])[:NAME_LETTERS] or NAMELESS


def _told_name(value: str | tuple[str | None, str | None, str]) -> str:
    """Return a name as `email` gives it: with charset and language (RFC 8187), or as it is."""
    if isinstance(value, str):
        return unquote(value)
    charset = (value[0] or "us-ascii").lower()
    if charset not in CHARSETS:
        return ""
    return value[2].encode("raw-unicode-escape").decode(charset, "replace")
