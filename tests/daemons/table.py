#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
table.py - the turns of tests/daemons/run as a table.

    table.py DIRECTORY

Reads DIRECTORY/turns.jsonl, one line for each turn, and writes daemons.md and
daemons.json there, and the table to standard output. Where a daemon also ran on
glibc, its CPU time per request and its PSS are given as ratios: those of a round
to the glibc of the same round, of which the median counts. At the end stand the
geometric means over the daemons.

Exit status: 0 some passed and none failed, 1 otherwise.
"""
import collections
import json
import pathlib
import statistics
import sys

BASE = "glibc"
# What the hardened variant may cost.
AIMS = {"cpu_ratio": 1.05, "pss_ratio": 1.15, "more_mappings": 200}


def cpu_us(turn):
    return 1000 * turn["cpu_ms"] / max(turn["requests"], 1)


def ratio(of, turns, bases):
    """The median of the ratios, round by round; None without glibc's."""
    ratios = [of(turn) / of(base) for turn, base in zip(turns, bases)
              if of(base) > 0]
    return round(statistics.median(ratios), 3) if ratios else None


def row_of(daemon, subject, turns, bases):
    """One line of the table, from all the turns of a daemon on a subject."""
    row = {"daemon": daemon, "subject": subject, "result": "ok", "note": ""}
    for turn in turns:
        if turn.get("result"):
            return row | {"result": turn["result"], "note": turn["reason"]}

    def median(key):
        return statistics.median(turn[key] for turn in turns)

    bases = [base for base in bases if "result" not in base]
    row |= {
        "rounds": len(turns),
        "processes": median("processes"),
        "requests": sum(turn["requests"] for turn in turns),
        "cpu_us": round(statistics.median(map(cpu_us, turns)), 1),
        "pss_mib": round(median("pss_kib") / 1024, 1),
        "cpu_ratio": None, "pss_ratio": None, "more_mappings": None,
    }
    if bases and subject != BASE:
        row |= {
            "cpu_ratio": ratio(cpu_us, turns, bases),
            "pss_ratio": ratio(lambda turn: turn["pss_kib"], turns, bases),
            "more_mappings": median("mappings")
            - statistics.median(base["mappings"] for base in bases),
        }
    return row


def rows_of(turns):
    by_pair = collections.defaultdict(list)
    for turn in turns:
        by_pair[turn["daemon"], turn["subject"]].append(turn)
    return [row_of(daemon, subject, its, by_pair.get((daemon, BASE), []))
            for (daemon, subject), its in by_pair.items()]


def means_of(rows):
    """Of each subject the geometric means of its ratios."""
    means = []
    for subject in dict.fromkeys(row["subject"] for row in rows):
        its = [row for row in rows if row["subject"] == subject
               and row.get("cpu_ratio") and row.get("pss_ratio")]
        if its:
            means.append({
                "subject": subject, "daemons": len(its),
                "cpu_ratio": round(statistics.geometric_mean(
                    row["cpu_ratio"] for row in its), 3),
                "pss_ratio": round(statistics.geometric_mean(
                    row["pss_ratio"] for row in its), 3),
                "more_mappings": max(row["more_mappings"] for row in its)})
    return means


COLUMNS = {
    "daemon": "daemon", "subject": "malloc", "result": "result",
    "processes": "processes", "requests": "requests",
    "cpu_us": "CPU µs/request", "cpu_ratio": "CPU ratio",
    "pss_mib": "PSS MiB", "pss_ratio": "PSS ratio",
    "more_mappings": "mappings more", "note": "note"}


def text_of(value):
    if value is None:
        return ""
    if isinstance(value, float) and value == int(value):
        return f"{value:.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def markdown(rows, means):
    """The table, its columns lined up so that it reads well as text too."""
    lines = [[COLUMNS[key] for key in COLUMNS]]
    lines += [[text_of(row.get(key)) for key in COLUMNS] for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines)]
    lines.insert(1, ["-" * width for width in widths])
    text = "".join("| " + " | ".join(cell.ljust(width) for cell, width
                                     in zip(line, widths)) + " |\n"
                   for line in lines)
    for mean in means:
        text += (f"\n{mean['subject']} over glibc, {mean['daemons']} daemons: "
                 f"CPU {mean['cpu_ratio']:.3f}, PSS {mean['pss_ratio']:.3f} "
                 f"(geometric means), at most {mean['more_mappings']:.0f} "
                 "mappings more.\n")
        if mean["subject"] == "hardened":
            text += "".join(f"{COLUMNS[key]}: {mean[key]:.3f} misses the aim "
                            f"of {aim}.\n" for key, aim in AIMS.items()
                            if mean[key] > aim)
    return text


def main():
    out = pathlib.Path(sys.argv[1])
    turns = [json.loads(line) for line
             in (out / "turns.jsonl").read_text().splitlines()]
    rows = rows_of(turns)
    means = means_of(rows)
    text = markdown(rows, means)
    (out / "daemons.md").write_text(text)
    (out / "daemons.json").write_text(json.dumps(
        {"daemons": rows, "means": means, "turns": turns}, indent=1) + "\n")
    print("\n" + text)
    counts = collections.Counter(row["result"] for row in rows)
    print(f"daemons: {counts['ok']} passed, {counts['FAILED']} failed, "
          f"{counts['skipped']} skipped")
    sys.exit(0 if counts["ok"] and not counts["FAILED"] else 1)


if __name__ == "__main__":
    main()
