# SPDX-License-Identifier: MIT
"""merlon-sample-gdb.py - what merlon knows of a sampled allocation, in gdb.

    gdb PROGRAM CORE
    (gdb) source merlon-sample-gdb.py
    (gdb) merlon-sample $_siginfo._sifields._sigfault.si_addr

For a fault on an address that merlon guarded, in a core dump or in a process:
the object that the address belongs to, who allocated and who freed it, and
from where. The program need not have asked for guard_signals. src/publish.h
describes what is read here; the numbers below are its enumerations.
"""

import struct

import gdb

NUMBER_SAMPLE_COUNT, NUMBER_SAMPLE_BYTES = 21, 22
NUMBER_SAMPLE_LIVE, NUMBER_SAMPLE_FREED = 23, 24
FIELD_ARENA_SAMPLES, FIELD_STATE, FIELD_OBJECT, FIELD_SIZE = 39, 40, 41, 42
FIELD_ALLOCATED_BY, FIELD_FREED_BY = 43, 44
FIELD_ALLOCATION, FIELD_RELEASE, FIELD_COUNT = 45, 46, 47
ADDRESS_ARENAS = 3
HEAD = "16s6I"
FRAMES_MAX = 64


class Library:
    """The constant merlon_process, and through it the table of samples."""

    def __init__(self):
        where = gdb.parse_and_eval("(char *)&merlon_process")
        self.at = int(where)
        head = struct.unpack("=" + HEAD,
                             self.read(self.at, struct.calcsize("=" + HEAD)))
        if not head[0].startswith(b"merlon-process") or head[1] != 2:
            raise gdb.GdbError("merlon_process is not what it should be")
        (self.width, numbers, fields, _, self.addresses) = head[2:7]
        if fields < FIELD_COUNT:
            raise gdb.GdbError("this merlon has no samples")
        at = self.at + struct.calcsize("=" + HEAD)
        self.number = struct.unpack("=%dI" % numbers,
                                    self.read(at, 4 * numbers))
        pairs = struct.unpack("=%dI" % (2 * fields),
                              self.read(at + 4 * numbers, 8 * fields))
        self.field = list(zip(pairs[::2], pairs[1::2]))

    @staticmethod
    def read(address, count):
        """Bytes of the process."""
        return bytes(gdb.selected_inferior().read_memory(address, count))

    def integer(self, address, count):
        """An unsigned number of so many bytes."""
        return int.from_bytes(self.read(address, count), "little")

    def get(self, base, field):
        """A field of the structure at base."""
        offset, count = self.field[field]
        return self.integer(base + offset, count)

    def samples(self):
        """Where each element of the table is that holds or held an object."""
        arenas = self.integer(self.at + self.addresses +
                              ADDRESS_ARENAS * self.width, self.width)
        table = self.get(arenas, FIELD_ARENA_SAMPLES)
        for i in range(self.number[NUMBER_SAMPLE_COUNT]):
            at = table + i * self.number[NUMBER_SAMPLE_BYTES]
            try:
                status = self.get(at, FIELD_STATE) & 255
            except gdb.MemoryError:
                return # there never was a sample
            if status in (self.number[NUMBER_SAMPLE_LIVE],
                          self.number[NUMBER_SAMPLE_FREED]):
                yield at

    def stack(self, base, field):
        """The return addresses of one of the two stacks."""
        at = base + self.field[field][0]
        count = min(self.integer(at, 4), FRAMES_MAX)
        return [self.integer(at + self.width * (1 + i), self.width)
                for i in range(count)]


def show_stack(what, thread, sites):
    """As gdb names them: one less than a return address is in the call."""
    print("%s by thread %d from" % (what, thread))
    for number, site in enumerate(sites):
        where = gdb.execute("info symbol 0x%x" % (site - 1),
                            to_string=True).strip()
        line = gdb.find_pc_line(site - 1)
        if line.symtab:
            where += " (%s:%d)" % (line.symtab.filename, line.line)
        print("  #%-2d 0x%016x %s" % (number, site, where))


class Sample(gdb.Command):
    """merlon-sample ADDRESS: the guarded object that an address belongs to."""

    def __init__(self):
        super().__init__("merlon-sample", gdb.COMMAND_DATA)

    def invoke(self, argument, _from_tty):
        """Find the nearest one."""
        library = Library()
        address = int(gdb.parse_and_eval("(unsigned long)(%s)" % argument))
        best = None
        for at in library.samples():
            first = library.get(at, FIELD_OBJECT)
            end = first + library.get(at, FIELD_SIZE)
            away = max(first - address, address - end + 1, 0)
            if best is None or away < best[0]:
                best = (away, at, first, end)
        if best is None or best[0] > 1 << 20:
            print("0x%x is near no sampled allocation" % address)
            return
        _, at, first, end = best
        freed = (library.get(at, FIELD_STATE) & 255 ==
                 library.number[NUMBER_SAMPLE_FREED])
        if address < first:
            place = "%d bytes before" % (first - address)
        elif address < end:
            place = "%d bytes into" % (address - first)
        else:
            place = "%d bytes behind" % (address - end)
        print("0x%x is %s a %s object of %d bytes at 0x%x" %
              (address, place, "freed" if freed else "live", end - first,
               first))
        show_stack("allocated", library.get(at, FIELD_ALLOCATED_BY),
                   library.stack(at, FIELD_ALLOCATION))
        if freed:
            show_stack("freed", library.get(at, FIELD_FREED_BY),
                       library.stack(at, FIELD_RELEASE))


Sample()
