# SPDX-License-Identifier: MIT
"""A program that bench/run measures: a pattern, a real program of ours, or one
from outside; how it is made ready, started, ended, and what it used."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import time

import common

LIMIT_SECONDS = 300
FIXED_TIME = ("wall", "cpu", "faults")  # what is told for an operation


def end_group(process):
    """End all that a run started: it has a process group of its own. The
    leader is waited for last, so that its number stays the group's."""
    if process.returncode is not None:
        return
    os.killpg(process.pid, signal.SIGTERM)
    for _ in range(50):
        if os.waitid(os.P_PID, process.pid,
                     os.WEXITED | os.WNOWAIT | os.WNOHANG):
            break
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


class Program:
    def __init__(self, line):
        self.name, self.group, command = line.split(maxsplit=2)
        self.command = shlex.split(command)
        self.input = self.rate = None

    def prepare(self, args, directory):
        """Make the inputs. False when the program is not installed."""
        self.directory = os.path.join(directory, self.name)
        self.scale = args.scale
        os.makedirs(self.directory)
        if self.group == "pattern":
            command = [os.path.join(args.build, self.command[0])]
            count = int(self.command[1]) * self.scale // 100
            self.command = command + [str(count)] + self.command[2:]
            return True
        if self.group == "outside":
            missing = self.prepare_outside()
        else:
            self.script = os.path.join(common.HERE, "real", self.command[0])
            run = subprocess.run([self.script, "prepare", self.directory,
                                  str(self.scale)], stderr=subprocess.PIPE,
                                 text=True)
            missing = run.returncode and run.stderr.strip()
        if missing:
            common.say("left out: %s: %s" % (self.name, missing))
        return not missing

    def prepare_outside(self):
        """A program that is not ours: a command with variables, its input
        and how its output tells the number of operations. What is missing."""
        self.scale = 100
        words = [os.path.expandvars(word) for word in self.command]
        while words and words[0].startswith(("rate=", "<")):
            word = words.pop(0)
            if word[0] == "<":
                self.input = word[1:]
            else:
                self.rate = re.compile(word[len("rate="):])
        self.command = words
        for word in words + [self.input or ""]:
            if "$" in word:
                return "%s is not set" % word.split("/", maxsplit=1)[0]
            if word.startswith("/") and not os.path.exists(word):
                return "missing: " + word
        return "" if words and shutil.which(words[0]) else "missing: " + (
            words[0] if words else "the command")

    def start(self, args, library, result):
        timed = os.path.join(args.build, "timed")
        environment = dict(os.environ)
        if self.group == "real":
            command = [self.script, "run", self.directory, str(self.scale)]
            environment.update(BENCH_TIMED=timed, BENCH_LIBRARY=library,
                               BENCH_RESULT=result)
        else:
            command = [timed, "-p", library, "-o", result] + self.command
        with open(self.input or os.devnull, "rb") as source, \
                open(os.path.join(self.directory, "output"), "wb") as output:
            return subprocess.Popen(
                command, env=environment, text=True, stdin=source,
                stdout=output, stderr=subprocess.PIPE, cwd=self.directory,
                start_new_session=True)

    def run(self, args, library):
        """One sample, or a text that says what went wrong."""
        result = os.path.join(self.directory, "result")
        if os.path.exists(result):
            os.unlink(result)
        limit = LIMIT_SECONDS * max(self.scale, 10) / 100
        process = self.start(args, library, result)
        try:
            _, errors = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            end_group(process)
            return "takes more than %d s" % limit
        except BaseException:
            end_group(process)
            raise
        if process.returncode or not os.path.exists(result):
            lines = errors.strip().splitlines() or [""]
            return "fails (%d) %s" % (process.returncode, lines[-1])
        with open(result, encoding="utf-8") as file:
            sample = json.load(file)
        sample["cpu"] = sample["user"] + sample["system"]
        sample["faults"] = sample["minor"] + sample["major"]
        return self.per_operation(sample) if self.rate else sample

    def per_operation(self, sample):
        """A program that runs for a fixed time tells how much it did."""
        with open(os.path.join(self.directory, "output"), encoding="utf-8",
                  errors="replace") as file:
            found = self.rate.search(file.read())
        if not found or float(found.group(1)) <= 0:
            return "does not say how much it did"
        for key in FIXED_TIME:
            sample[key + "_run"] = sample[key]
            sample[key] /= float(found.group(1))
        return sample
