# SPDX-License-Identifier: MIT
"""What the scripts of the bench share: which allocators there are, where the
programs are, numbers of samples, and the files that results go to."""

import argparse
import glob
import json
import math
import os
import platform
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(HERE)

# name, where Debian puts it, Debian's package
PEERS = [
    ("mimalloc", "libmimalloc.so.2", "libmimalloc2.0"),
    ("jemalloc", "libjemalloc.so.2", "libjemalloc2"),
    ("tcmalloc", "libtcmalloc_minimal.so.4", "libtcmalloc-minimal4"),
    ("tbbmalloc", "libtbbmalloc_proxy.so.2", "libtbbmalloc2"),
    ("scudo", "libclang_rt.scudo_standalone-x86_64.so",
     "libclang-rt-14-dev"),
]
PLACES = ["/usr/lib/*-linux-gnu/", "/usr/lib/", "/usr/lib64/",
          "/usr/lib/llvm-*/lib/clang/*/lib/linux/"]


def say(text):
    """Progress goes to descriptor 2, results to files and descriptor 1."""
    print(text, file=sys.stderr, flush=True)


def find_peer(file):
    for place in PLACES:
        found = sorted(glob.glob(place + file))
        if found:
            return found[-1]
    return None


def options(description):
    """The options that every script has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--lib", action="append", default=[],
                        metavar="NAME=PATH", help="another allocator")
    parser.add_argument("--peers", default="all", metavar="LIST",
                        help="peers from Debian: all, none, or names with "
                        "commas: " + ",".join(p[0] for p in PEERS))
    parser.add_argument("--against", metavar="NAME", default="glibc",
                        help="what ratios are to; with another than glibc, "
                        "glibc is left out")
    parser.add_argument("--build", metavar="DIR",
                        default=os.environ.get("BENCH_BUILD",
                                               "/tmp/merlon-bench-%d" %
                                               os.getuid()),
                        help="where the bench's programs are compiled")
    parser.add_argument("--out", metavar="DIR", help="where results go: "
                        "doc/benchmarks, or DIR/results of --build when "
                        "--quick, --only or --group makes them partial")
    parser.add_argument("--quick", action="store_true",
                        help="a tenth of the work: shows that it runs")
    parser.add_argument("--only", action="append", default=[],
                        metavar="WORD", help="only what has WORD in its name")
    return parser


def wanted(name, only):
    return not only or any(word in name for word in only)


def allocators(args):
    """[(name, path or "")]: glibc first, then ours, then the peers. What
    others are compared with comes first; glibc is only there for that."""
    against = args.against
    chosen = [("glibc", "")] if against == "glibc" else []
    for lib in args.lib:
        name, _, path = lib.partition("=")
        if not path or not os.path.isfile(path):
            sys.exit("--lib %s: no such library" % lib)
        chosen.append((name, os.path.abspath(path)))
    names = [p[0] for p in PEERS]
    peers = (names if args.peers == "all" else
             [] if args.peers == "none" else args.peers.split(","))
    for peer in peers:
        if peer not in names:
            sys.exit("--peers %s: not one of %s" % (peer, ", ".join(names)))
    for name, file, package in PEERS:
        if name not in peers or name in [c[0] for c in chosen]:
            continue
        path = find_peer(file)
        if path:
            chosen.append((name, path))
        else:
            say("missing: %s is left out; its Debian package is %s" %
                (name, package))
    if against not in [c[0] for c in chosen]:
        sys.exit("--against %s: no such allocator is measured" % against)
    return sorted(chosen, key=lambda c: c[0] != against)


def works(path):
    """Whether programs start under the library at all."""
    environment = dict(os.environ, LD_PRELOAD=path)
    run = subprocess.run(["true"], env=environment, capture_output=True)
    return run.returncode == 0 and not run.stderr


def usable(chosen):
    """Drop, and name, the libraries under which `true` fails."""
    good = []
    for name, path in chosen:
        if not path or works(path):
            good.append((name, path))
        else:
            say("broken: %s is left out: `true` fails or complains under %s" %
                (name, path))
    return good


def prepare(args):
    """Compile the programs, and settle where results go."""
    args.build = os.path.abspath(args.build)
    whole = {"merge": None, "scale": 100, "group": "all", "programs": None}
    partial = args.quick or args.only or any(
        getattr(args, name, value) != value for name, value in whole.items())
    args.out = args.out or (os.path.join(args.build, "results") if partial
                            else os.path.join(TOP, "doc/benchmarks"))
    run = subprocess.run([os.path.join(HERE, "build"), args.build],
                         stdout=sys.stderr)
    if run.returncode:
        sys.exit("the bench's programs do not compile")


def need(program, package):
    if not shutil.which(program):
        sys.exit("missing: %s (Debian package: %s)" % (program, package))


def median(values):
    ordered = sorted(values)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2


def interval(values):
    """A 95 % interval of the median: the order statistics whose binomial
    tail is at most 2.5 %; with fewer than six values, the extremes."""
    ordered = sorted(values)
    n = len(ordered)
    tail, k = 0.0, 0
    while k < n // 2:
        tail += math.comb(n, k) / 2 ** n
        if tail > 0.025:
            break
        k += 1
    k = max(k - 1, 0)
    return ordered[k], ordered[n - 1 - k]


def geometric(values):
    logs = [math.log(v) for v in values if v > 0]
    return math.exp(sum(logs) / len(logs)) if logs else float("nan")


def first_line(path, start=""):
    try:
        with open(path, encoding="utf-8") as file:
            for line in file:
                if line.startswith(start):
                    return line[len(start):].strip(" \t\n:")
    except OSError:
        pass
    return "unknown"


def version_of(path):
    """Debian's package and version of a library, where it is Debian's."""
    dpkg = shutil.which("dpkg-query")
    if not dpkg or not path:
        return ""
    real = os.path.realpath(path)
    for candidate in (path, real, real.replace("/usr/lib", "/lib", 1)):
        run = subprocess.run([dpkg, "-S", candidate], capture_output=True,
                             text=True)
        if run.returncode == 0:
            package = run.stdout.split(": ")[0].split(",")[0]
            run = subprocess.run([dpkg, "-W", package], capture_output=True,
                                 text=True)
            return " ".join(run.stdout.split())
    return ""


def machine():
    """Where the numbers come from."""
    return {
        "cpu": first_line("/proc/cpuinfo", "model name"),
        "cpus": os.cpu_count(),
        "kernel": platform.release(),
        "libc": " ".join(platform.libc_ver()),
        "memory": first_line("/proc/meminfo", "MemTotal"),
        "thp": first_line("/sys/kernel/mm/transparent_hugepage/enabled"),
    }


def describe(chosen):
    return {name: {"path": path, "package": version_of(path)}
            for name, path in chosen}


def write(directory, name, text):
    os.makedirs(directory, exist_ok=True)
    path = os.path.join(directory, name)
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(path + ".new", path)
    say("wrote " + os.path.relpath(path))


def write_json(directory, name, data):
    write(directory, name, json.dumps(data, indent=1) + "\n")


def table(head, rows):
    """A Markdown table; the first column is text, the others numbers."""
    lines = ["| " + " | ".join(head) + " |",
             "|---|" + "---:|" * (len(head) - 1)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"
