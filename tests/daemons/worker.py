#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
worker.py - a threaded web server whose answers take memory to compute.

    worker.py PORT        serve GET /work/N
    worker.py print N...  print the same answers
"""
import bz2
import collections
import hashlib
import http.server
import json
import lzma
import pickle
import random
import re
import sqlite3
import sys
import zlib


def packed(text):
    """Through three compressors and back."""
    for module in (zlib, bz2, lzma):
        if module.decompress(module.compress(text)) != text:
            raise ValueError(f"{module.__name__} changed the text")
    return len(text)


def tables(generator):
    """Rows in SQLite, grouped by it and by us."""
    rows = [(generator.randrange(40), generator.randbytes(20).hex())
            for _ in range(2000)]
    with sqlite3.connect(":memory:") as database:
        database.execute("create table t (k integer, v text)")
        database.executemany("insert into t values (?, ?)", rows)
        database.execute("create index i on t (v)")
        found = database.execute(
            "select k, count(*), max(v) from t group by k order by k")
        grouped = found.fetchall()
    ours = collections.defaultdict(list)
    for key, value in rows:
        ours[key].append(value)
    if grouped != [(k, len(v), max(v)) for k, v in sorted(ours.items())]:
        raise ValueError("SQLite counts otherwise")
    return grouped


def answer(number):
    generator = random.Random(number)
    tree = {f"key {i}": [generator.random(), {"name": "n" * (i % 50)}, None]
            for i in range(1500)}
    text = json.dumps(tree)
    if json.loads(text) != tree or pickle.loads(pickle.dumps(tree)) != tree:
        raise ValueError("a tree changed on its way")
    words = sorted(set(re.findall(r"0\.\d+", text)))
    facts = {"words": len(words), "packed": packed(text.encode()),
             "groups": tables(generator)}
    digest = hashlib.sha256(json.dumps([words, facts]).encode()).hexdigest()
    return f"{number} {len(words)} {digest}\n"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = answer(int(self.path.rpartition("/")[2])).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments):
        pass


def main():
    if sys.argv[1] == "print":
        for number in sys.argv[2:]:
            print(answer(int(number)), end="")
        return
    address = ("127.0.0.1", int(sys.argv[1]))
    http.server.ThreadingHTTPServer(address, Handler).serve_forever()


if __name__ == "__main__":
    main()
