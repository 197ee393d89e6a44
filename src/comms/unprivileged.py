"""Starts a program that refuses to run as root, for a user who may be root.

Three ways, the first that the machine allows:

    plain       we are not root; nothing to do
    namespace   a user namespace that maps root to `nobody`: inside, the program has no
                capability and sees an ordinary user; on disk its files stay root's
    setuid      the program becomes `nobody` for good; it needs files that `nobody` owns

The change is made by this file, run as a script in a fresh interpreter, because code between
fork and exec is unsafe in a process with threads. It therefore imports the standard library only.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

Way = Literal["plain", "namespace", "setuid"]

_CLONE_NEWUSER = 0x10000000
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Account:
    """How a program is started, and who owns its files on disk."""

    way: Way
    uid: int
    gid: int

    def command(self, *argv: str, dies_with_us: bool = False) -> list[str]:
        """The command line that runs `argv` under this account; `argv[0]` is an absolute path.

        With `dies_with_us` the program gets SIGINT when the thread that started it ends, by kill -9 too.
        """
        parent = os.getpid() if dies_with_us else 0
        return [sys.executable, "-I", "-S", __file__, self.way, str(parent), *argv]


def account() -> Account:
    """The account for this process's children; as root this tries a user namespace, some 20 ms."""
    if os.geteuid() != 0:
        return Account("plain", os.geteuid(), os.getegid())
    rooted = Account("namespace", 0, 0)
    tried = subprocess.run(rooted.command("/bin/true"), stderr=subprocess.DEVNULL, check=False)
    if tried.returncode == 0:
        return rooted
    nobody = pwd.getpwnam("nobody")
    return Account("setuid", nobody.pw_uid, nobody.pw_gid)


def _enter_namespace(uid: int, gid: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWUSER):
        raise OSError(ctypes.get_errno(), "unshare")
    Path("/proc/self/setgroups").write_text("deny")  # the kernel wants this before an id map of ours
    Path("/proc/self/gid_map").write_text(f"{gid} 0 1")
    Path("/proc/self/uid_map").write_text(f"{uid} 0 1")


def _become(way: Way) -> None:
    if way == "plain":
        return
    nobody = pwd.getpwnam("nobody")
    if way == "namespace":
        _enter_namespace(nobody.pw_uid, nobody.pw_gid)
        return
    os.setgroups([])
    os.setgid(nobody.pw_gid)
    os.setuid(nobody.pw_uid)


def _die_with(parent: int) -> None:
    """Must follow `_become`: a change of user clears the wish."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
    if os.getppid() != parent:  # it died before we asked
        sys.exit(1)


def _main(way: str, parent: str, *argv: str) -> None:
    os.umask(0o077)
    _become(next(known for known in get_args(Way) if known == way))
    if parent != "0":
        _die_with(int(parent))
    os.execv(argv[0], argv)  # noqa: S606 - an absolute path, handed over by Account.command


if __name__ == "__main__":
    _main(*sys.argv[1:])
