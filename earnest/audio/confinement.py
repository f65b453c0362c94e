"""Takes from this process, for ever, what decoding doesn't need: files, network, other processes, memory without end.

Three layers, each where the system has it: Landlock (no file, no port, no signal to others), seccomp (a list of system
calls, all others fail) and the limits of every POSIX system. Nothing here can be taken back, so it is for child
processes alone: see `earnest.runtime.decoder_child`.
"""

import ctypes
import os
import platform
import struct
import sys
from pathlib import Path

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
SIGKILL = 9  # Windows' module signal has none

# Landlock has one number for each call on every machine (https://docs.kernel.org/userspace-api/landlock.html).
_CREATE_RULESET, _RESTRICT_SELF = 444, 446
_ASK_VERSION = 1
_FILE_RIGHTS = {1: 0x1FFF, 2: 0x3FFF, 3: 0x7FFF, 4: 0x7FFF}  # by version of Landlock; from 5 on 0xFFFF
_PORT_RIGHTS, _SCOPES = 0b11, 0b11  # bind and connect, from version 4; abstract sockets and signals, from 6

_SECCOMP_SET_MODE_FILTER, _TSYNC = 1, 1  # for all threads of this process
_LOAD, _EQUALS, _ANY_BIT, _AT_LEAST, _RETURN = 0x20, 0x15, 0x45, 0x35, 0x06  # BPF: words, jumps, an end
_ALLOW, _KILL_PROCESS, _FAIL = 0x7FFF_0000, 0x8000_0000, 0x0005_0000 | 1  # the last one with EPERM
_NUMBER, _MACHINE, _ARGUMENTS = 0, 4, 16  # where they lie in what the filter is shown
_X32 = 0x4000_0000  # system calls of another convention on the same machine
_PROT_EXEC = 4
_RLIMIT_CPU = 0
_MOST_CPU_S = 1e9  # who asks for infinity gets decades: the system counts whole seconds in 64 bits

# Machine → its name for seccomp, the number of the call seccomp.
_MACHINES = {"x86_64": (0xC000_003E, 317), "aarch64": (0xC000_00B7, 277)}
_CALLS = {
    # Call → its number on each of these machines in turn; None where that machine doesn't have it.
    "read": (0, 63), "write": (1, 64), "close": (3, 57), "fstat": (5, 80), "poll": (7, None), "lseek": (8, 62),
    "munmap": (11, 215), "brk": (12, 214), "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139), "pread64": (17, 67), "readv": (19, 65), "writev": (20, 66), "sched_yield": (24, 124),
    "mremap": (25, 216), "madvise": (28, 233), "nanosleep": (35, 101), "getpid": (39, 172), "sendto": (44, 206),
    "recvfrom": (45, 207), "sendmsg": (46, 211), "recvmsg": (47, 212), "exit": (60, 93), "gettimeofday": (96, 169),
    "getrlimit": (97, 163), "getrusage": (98, 165), "sigaltstack": (131, 132), "gettid": (186, 178),
    "futex": (202, 98), "sched_getaffinity": (204, 123), "restart_syscall": (219, 128), "clock_gettime": (228, 113),
    "clock_getres": (229, 114), "clock_nanosleep": (230, 115), "exit_group": (231, 94), "newfstatat": (262, 79),
    "ppoll": (271, 73), "set_robust_list": (273, 99), "getrandom": (318, 278), "membarrier": (324, 283),
    "rseq": (334, 293),
}  # fmt: skip
_MEMORY_CALLS = {"mmap": (9, 222), "mprotect": (10, 226)}  # but not for code
_LIMIT_CALL = {"prlimit64": (302, 261)}  # of its own CPU seconds alone


def die_with_parent(parent: int, signal: int = SIGKILL) -> None:
    """Have the system end this process when the thread that started it ends; Linux only."""
    if sys.platform != "linux":
        return
    _libc().prctl(_PR_SET_PDEATHSIG, signal, 0, 0, 0)
    if os.getppid() != parent:  # it was faster
        os._exit(0)


def confine(more_bytes: int, most_descriptors: int) -> tuple[str, ...]:
    """Give everything up.

    Parameters
    ----------
    more_bytes : of memory beyond what is held now; counted as addresses, on Linux only
    most_descriptors : no descriptor may have this number or a higher one

    Returns
    -------
    what the system has of it: "landlock", "seccomp", "rlimits"
    """
    done = ["rlimits"] if _limit(more_bytes, most_descriptors) else []
    if sys.platform != "linux":
        return tuple(done)
    libc = _libc()
    # Without this promise the system takes neither a ruleset nor a filter from who isn't root.
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        return tuple(done)
    # Seccomp last: its list has none of the calls of Landlock.
    if _landlock(libc):
        done.insert(0, "landlock")
    if _seccomp(libc):
        done.insert(0, "seccomp")
    return tuple(done)


def allow_cpu(seconds: float) -> None:
    """Let this process compute for so long from now on; then the system ends it. POSIX only."""
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF)
    # Seconds are whole here: int() rounds down, hence one more. The limit −1 means none.
    until = int(used.ru_utime + used.ru_stime + min(seconds, _MOST_CPU_S)) + 1
    _, hardest = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (until if hardest < 0 else min(until, hardest), hardest))


def _limit(more_bytes: int, most_descriptors: int) -> bool:
    try:
        import resource
    except ImportError:
        return False
    limits = {"RLIMIT_CORE": 0, "RLIMIT_FSIZE": 0, "RLIMIT_NPROC": 0, "RLIMIT_NOFILE": most_descriptors}
    if sys.platform == "linux":
        n_pages = int(Path("/proc/self/statm").read_bytes().split()[0])  # addresses in use
        limits["RLIMIT_AS"] = n_pages * resource.getpagesize() + more_bytes
    for name, most in limits.items():
        kind = getattr(resource, name, None)
        if kind is not None:
            _, hardest = resource.getrlimit(kind)
            lowest = most if hardest < 0 else min(most, hardest)
            resource.setrlimit(kind, (lowest, lowest))
    return True


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _landlock(libc: ctypes.CDLL) -> bool:
    version = libc.syscall(_CREATE_RULESET, None, 0, _ASK_VERSION)
    if version < 1:
        return False
    rights = [_FILE_RIGHTS.get(version, 0xFFFF), _PORT_RIGHTS if version >= 4 else 0, _SCOPES if version >= 6 else 0]
    # Rights that a ruleset names and no rule gives are refused everywhere; none is added. Older versions know fewer of
    # the three fields, of eight bytes each.
    rules = struct.pack("QQQ", *rights)
    size = 8 if version < 4 else 16 if version < 6 else 24
    ruleset = libc.syscall(_CREATE_RULESET, rules, ctypes.c_size_t(size), 0)
    if ruleset < 0:
        return False
    try:
        return bool(libc.syscall(_RESTRICT_SELF, ruleset, 0) == 0)
    finally:
        os.close(ruleset)


def _seccomp(libc: ctypes.CDLL) -> bool:
    if platform.machine() not in _MACHINES or ctypes.sizeof(ctypes.c_void_p) != 8:
        return False
    machine, call = _MACHINES[platform.machine()]
    program = seccomp_filter(machine, list(_MACHINES).index(platform.machine()))
    code = ctypes.create_string_buffer(program, len(program))
    # A struct sock_fprog: how many steps of eight bytes, padding, where they begin.
    filter_ = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(code))
    return bool(libc.syscall(call, _SECCOMP_SET_MODE_FILTER, _TSYNC, filter_) == 0)


def seccomp_filter(machine: int, column: int) -> bytes:
    """Return the filter as a program of BPF: what is listed may be called, all else fails with EPERM.

    Parameters
    ----------
    machine : its name for seccomp; calls of another one end the process
    column : of the numbers in the tables of calls
    """
    allowed = [number for numbers in _CALLS.values() if (number := numbers[column]) is not None]
    (limit,) = (numbers[column] for numbers in _LIMIT_CALL.values())
    steps = [
        _step(_LOAD, _MACHINE),
        _step(_EQUALS, machine, 1, 0),  # this machine: over the next step
        _step(_RETURN, _KILL_PROCESS),
        _step(_LOAD, _NUMBER),
        _step(_AT_LEAST, _X32, 0, 1),  # another convention: fails
        _step(_RETURN, _FAIL),
    ]
    for number in allowed:
        steps += [_step(_EQUALS, number, 0, 1), _step(_RETURN, _ALLOW)]
    for numbers in _MEMORY_CALLS.values():
        steps += [
            _step(_EQUALS, numbers[column], 0, 4),  # another call: on to the next one
            _step(_LOAD, _ARGUMENTS + 2 * 8),  # the third argument, how the memory may be used
            _step(_ANY_BIT, _PROT_EXEC, 0, 1),
            _step(_RETURN, _FAIL),
            _step(_RETURN, _ALLOW),
        ]
    steps += [
        _step(_EQUALS, limit, 0, 5),  # another call: the last step, which fails
        _step(_LOAD, _ARGUMENTS),  # which process: 0 is this one
        _step(_EQUALS, 0, 0, 3),
        _step(_LOAD, _ARGUMENTS + 8),  # which limit
        _step(_EQUALS, _RLIMIT_CPU, 0, 1),
        _step(_RETURN, _ALLOW),
        _step(_RETURN, _FAIL),
    ]
    return b"".join(steps)


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, value)  # a struct sock_filter
