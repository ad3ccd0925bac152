#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
witness.py - run a command, and hold each of its processes at its end.

    witness.py ENDING LOOKED COMMAND [ARGUMENT...]

The idea: ptrace stops a process when it ends and still has its memory. Its
number is written to the fifo ENDING; whoever reads that looks at the process and
writes a line to the fifo LOOKED; then the process ends. So none is missed,
however shortly it lives. Exit status: that of the command.
"""
import ctypes
import os
import signal
import sys

PTRACE_TRACEME = 0
PTRACE_CONT = 7
PTRACE_SETOPTIONS = 0x4200
# What a stop tells of, and which bit of the options asks for it.
FORK, VFORK, CLONE, EXEC, EXIT = 1, 2, 3, 4, 6
EXITKILL = 1 << 20
OPTIONS = sum(1 << event for event in (FORK, VFORK, CLONE, EXEC, EXIT))
WALL = 0x40000000

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long] * 4
libc.ptrace.restype = ctypes.c_long


def ptrace(request, pid, data=0):
    """It may have been killed meanwhile: waitpid tells."""
    if libc.ptrace(request, pid, 0, data) == -1:
        error = ctypes.get_errno()
        if error != 3:  # ESRCH
            sys.exit(f"witness: ptrace: {os.strerror(error)}")


def is_process(task):
    with open(f"/proc/{task}/status", encoding="latin-1") as file:
        return f"\nTgid:\t{task}\n" in file.read()


def begin(command):
    pid = os.fork()
    if pid == 0:
        ptrace(PTRACE_TRACEME, 0)
        os.kill(os.getpid(), signal.SIGSTOP)
        os.execvp(command[0], command)
    os.waitpid(pid, 0)
    ptrace(PTRACE_SETOPTIONS, pid, OPTIONS | EXITKILL)
    ptrace(PTRACE_CONT, pid)
    return pid


def main():
    ending = open(sys.argv[1], "w", encoding="ascii", buffering=1)
    looked = open(sys.argv[2], encoding="ascii")
    first = begin(sys.argv[3:])
    known = {first}
    result = 1
    while True:
        try:
            task, status = os.waitpid(-1, WALL)
        except ChildProcessError:
            break
        if not os.WIFSTOPPED(status):
            if task == first:
                result = os.waitstatus_to_exitcode(status)
            continue
        number = os.WSTOPSIG(status)
        if status >> 16 == EXIT and is_process(task):
            print(task, file=ending)
            if looked.readline() != f"{task}\n":
                sys.exit(f"witness: nobody looked at {task}")
        # Stops by ptrace are not for the process, nor is its first one.
        if status >> 16 or (number == signal.SIGSTOP and task not in known):
            number = 0
        known.add(task)
        ptrace(PTRACE_CONT, task, number)
    sys.exit(result if result >= 0 else 128 - result)


if __name__ == "__main__":
    main()
