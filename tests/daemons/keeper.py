#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
keeper.py - run a daemon so that none of its processes gets away.

    keeper.py COMMAND [ARGUMENT...]

The idea: keeper is a child subreaper, so whatever the daemon forks, and
however it turns into a background process, stays among its descendants. A
process that ends is waited for, so that the CPU time of all that are gone is
in keeper's own cutime and cstime.

Keeper ends when no process is left, with the exit status of the one that ended
last. When it gets SIGTERM, or its parent ends, it kills them all. A process
that a signal ended is told of on standard error.
"""
import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


def children():
    """The processes whose parent we are."""
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", encoding="latin-1") as file:
                # The name in parentheses may hold anything.
                parent = int(file.read().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == os.getpid():
            yield int(name)


def kill_children():
    for pid in children():
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def main():
    ending = False
    status = 0

    def end(_number, _frame):
        nonlocal ending
        ending = True
        kill_children()

    prctl = ctypes.CDLL(None, use_errno=True).prctl
    if prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        sys.exit("keeper: the kernel has no child subreapers")
    prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)

    if os.fork() == 0:
        # What was set to be ignored for us is not the daemon's concern.
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM,
                       signal.SIGQUIT, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        os.setsid()
        try:
            os.execvp(sys.argv[1], sys.argv[1:])
        except OSError as error:
            print(f"keeper: {sys.argv[1]}: {error.strerror}", file=sys.stderr)
            os._exit(127)
    if ending:
        kill_children()
    while True:
        try:
            pid, status = os.wait()
        except ChildProcessError:
            break
        # Its children are ours from now on.
        if ending:
            kill_children()
        elif os.WIFSIGNALED(status):
            print(f"keeper: process {pid} was ended by signal "
                  f"{os.WTERMSIG(status)}", file=sys.stderr, flush=True)
    code = os.waitstatus_to_exitcode(status)
    sys.exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main()
