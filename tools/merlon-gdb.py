# SPDX-License-Identifier: MIT
#
# merlon-gdb.py - what gdb should know of merlon: (gdb) source merlon-gdb.py
#
#   merlon address EXPRESSION   which slot it lies in, and that one's state
#   merlon report               the text of the last detection
#   merlon stat                 the figures of merlon-stat
#
# All of it is asked of merlon-stat(1), which reads the same process or core:
# so nothing of merlon's structs is written down here. For a process on another
# machine (target remote) run merlon-stat there.

import re
import subprocess

import gdb


def _subject():
    """What merlon-stat is to read: a process number or a core's path."""
    inferior = gdb.selected_inferior()
    match = re.search(r"core dump file:\s+`(.*?)', file type",
                      gdb.execute("info files", to_string=True))
    if match:
        path = match.group(1)
        return path if "/" in path else "./" + path
    if inferior is None or inferior.pid == 0:
        raise gdb.GdbError("there is neither a process nor a core")
    return str(inferior.pid)


def _ask(*arguments):
    command = ["merlon-stat", *arguments, _subject()]
    try:
        answer = subprocess.run(command, stdout=subprocess.PIPE, check=False,
                                stderr=subprocess.STDOUT, text=True)
    except FileNotFoundError:
        raise gdb.GdbError("there is no merlon-stat in PATH") from None
    gdb.write(answer.stdout)


class _Merlon(gdb.Command):
    """Ask about the allocator merlon in the process or core."""

    def __init__(self):
        super().__init__("merlon", gdb.COMMAND_DATA, prefix=True)


class _Address(gdb.Command):
    """merlon address EXPRESSION: which slot it lies in, and its state."""

    def __init__(self):
        super().__init__("merlon address", gdb.COMMAND_DATA,
                         gdb.COMPLETE_EXPRESSION)

    def invoke(self, argument, from_tty):
        if not argument:
            raise gdb.GdbError("merlon address needs an expression")
        value = gdb.parse_and_eval(argument)
        _ask("--address", hex(int(value) & 0xffffffffffffffff))


class _Report(gdb.Command):
    """merlon report: the text of the last detection."""

    def __init__(self):
        super().__init__("merlon report", gdb.COMMAND_DATA)

    def invoke(self, argument, from_tty):
        _ask("--report")


class _Stat(gdb.Command):
    """merlon stat: what merlon has allocated, and what it has found."""

    def __init__(self):
        super().__init__("merlon stat", gdb.COMMAND_DATA)

    def invoke(self, argument, from_tty):
        _ask("--classes")


_Merlon()
_Address()
_Report()
_Stat()
