"""Recordings and answers on disk, for those who ask for it with ``--keep``."""

import asyncio
import os
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

from earnest.apps.server.body import Upload


async def keep(folder: Path | None, uploads: Sequence[Upload], answer: str) -> None:
    """Write the recordings of one request and its answer, readable by the owner only; without a folder, nothing."""
    if folder is not None:
        await asyncio.to_thread(_write, folder, uploads, answer)


def _write(folder: Path, uploads: Sequence[Upload], answer: str) -> None:
    """Name files by time and chance: nothing in a name comes from outside."""
    stem = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{uuid.uuid4().hex}"
    files = {f"{stem}-{number}.audio": upload.data for number, upload in enumerate(uploads)}
    for name, data in {**files, f"{stem}.answer": answer.encode()}.items():
        descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
