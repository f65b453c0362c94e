"""What a confined process can't do any more, tried in child processes."""

import struct
import subprocess
import sys
from pathlib import Path

import pytest

from earnest.audio.confinement import seccomp_filter

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems have limits alone")

TRY = """
import os, socket, subprocess, sys
from earnest.audio.confinement import allow_cpu, confine
import mmap, resource, threading
pair = socket.socketpair()
words = confine(64 * 2**20, 16)
assert "rlimits" in words
if len(words) == 1:
    print("nothing but limits here")
    sys.exit(9)
def refused(work):
    try:
        work()
    except (OSError, MemoryError, RuntimeError, ValueError) as error:
        return True
    return False
print(words)
assert refused(lambda: open("/etc/passwd")), "open"
assert refused(lambda: open("/dev/shm/mine", "w")), "write"
assert refused(lambda: os.listdir("/")), "list"
assert refused(lambda: bytearray(200 * 2**20)), "memory"
if "seccomp" in words:
    assert refused(lambda: socket.socket()), "socket"
    assert refused(os.fork), "fork"
    assert refused(lambda: os.kill(os.getppid(), 0)), "signal"
    assert refused(lambda: os.execv("/bin/true", ["true"])), "exec"
    assert refused(lambda: threading.Thread(target=print).start()), "thread"
    assert refused(lambda: resource.setrlimit(resource.RLIMIT_AS, (2**40, 2**40))), "limit"
    assert refused(lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_EXEC | mmap.PROT_READ)), "code"
pair[0].sendall(b"still here")
assert pair[1].recv(20) == b"still here"
allow_cpu(1)
print("works", flush=True)
if "forever" in sys.argv:
    while True:
        pass
"""


def tried(*words: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([sys.executable, "-c", TRY, *words], capture_output=True, text=True, check=False, timeout=120)
    if done.returncode == 9:
        pytest.skip("this system has neither seccomp nor Landlock")
    return done


def test_files_network_processes_and_memory_are_gone() -> None:
    done = tried()
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("works\n")


def test_who_computes_for_ever_is_ended() -> None:
    import signal

    assert tried("forever").returncode == -signal.SIGXCPU


def test_a_child_dies_with_its_parent(tmp_path: Path) -> None:
    child = "import os, sys, time; from earnest.audio.confinement import die_with_parent; "
    child += "die_with_parent(int(sys.argv[1])); print('here', flush=True); time.sleep(600)"
    parent = (
        "import os, subprocess, sys; child = subprocess.Popen([sys.executable, '-c', sys.argv[1], str(os.getpid())], "
    )
    parent += "stdout=subprocess.PIPE); child.stdout.readline(); print(child.pid, flush=True); os.kill(os.getpid(), 9)"
    done = subprocess.run(
        [sys.executable, "-c", parent, child], capture_output=True, text=True, check=False, timeout=60
    )
    state = Path(f"/proc/{done.stdout.strip()}/stat")
    for _ in range(1000):
        if not state.exists() or state.read_text().rpartition(")")[2].split()[0] in ("Z", "X"):
            return
        subprocess.run([sys.executable, "-c", ""], check=True)
    pytest.fail("it lives on")


@pytest.mark.parametrize("column", [0, 1])
def test_jumps_of_the_filter_stay_inside(column: int) -> None:
    program = seccomp_filter(0xC000_003E, column)
    steps = list(struct.iter_unpack("HBBI", program))
    for number, (code, if_true, if_false, _) in enumerate(steps):
        if code & 0x07 == 0x05:
            assert number + 1 + max(if_true, if_false) < len(steps)
    assert steps[-1][0] == 0x06
