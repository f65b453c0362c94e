"""What ``earnest batch`` reads: tar files of strangers, lists (predict's too), and the plan of a run that goes on.

Not tables of sounds: pyarrow 26 ends the process at some (docs/security/threat-model.md).
"""

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from tarfile import TarFile, TarInfo
from tempfile import TemporaryDirectory
from typing import Any

from earnest.apps.batch.inputs import Fetcher, Input, inputs_of
from earnest.apps.batch.places import LocalPlace
from earnest.apps.batch.plan import INPUTS, REQUEST, check_same, read_plan, shard_inputs, write_plan
from earnest.apps.cli._lists import read_list
from earnest.apps.cli._recordings import NamedRecordings
from earnest.audio.source import path_of
from fuzz.readers import Reader, Seeds

WORDS: Mapping[str, Any] = {
    "source": "a", "table": "predictions", "models": ("m 1 0",), "classes": ("sad", "happy"), "abstain_below": 0.5,
    "tta": "none", "channel": None,
}  # fmt: skip
LISTS = (
    b"path,start_s,end_s,speaker,channel\na.wav,0.5,1.25,anna,1\nb.wav,,,,2.0\n",
    b'file,onset,offset\n"a b.wav",1,2.5\nb.wav,0,1\n',
    b"sep=;\naudio_path;channel\nhttps://host/a.wav;2\n",
)


def batch_readers() -> list[Reader]:
    """Return the readers of sources and plans."""
    return [
        Reader("tar file", "a.tar", _tar, _fetched),
        Reader("list", "list.csv", lambda: LISTS, _listed, kind="csv"),
        Reader("plan", REQUEST, _planned(REQUEST), _go_on, _plan, "json"),
        Reader("inputs", INPUTS, _planned(INPUTS), _go_on, _plan),
    ]


def _tar() -> tuple[bytes, ...]:
    with BytesIO() as data:
        with TarFile(fileobj=data, mode="w") as tar:
            for name in ("a.wav", f"{'b' * 120}/ü.flac"):
                member = TarInfo(name)
                member.size = 700
                tar.addfile(member, BytesIO(bytes(700)))
        return (data.getvalue(),)


def _listed(path: Path) -> None:
    speakers = NamedRecordings([str(path)]).speakers()
    for source in read_list(path).sources:
        speakers.of(path_of(source))
    list(inputs_of(str(path)))


def _fetched(path: Path) -> None:
    for one in Fetcher(str(path)).fetched(list(inputs_of(str(path)))):
        one.forget()


def _plan(folder: Path) -> None:
    write_plan(LocalPlace(folder), [[Input("a.wav", "file", b"/a.wav")], [Input("b", "row", b"/t", 1)]], dict(WORDS))


def _planned(name: str) -> Seeds:
    def seeds() -> tuple[bytes, ...]:
        with TemporaryDirectory() as folder:
            _plan(Path(folder))
            return ((Path(folder) / name).read_bytes(),)

    return seeds


def _go_on(path: Path) -> None:
    if plan := read_plan(LocalPlace(path.parent)):
        check_same(plan, dict(WORDS))
        plan.keys()
        for number in range(len(plan.sizes())):
            shard_inputs(plan.place, plan.request, number)
