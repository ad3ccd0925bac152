# SPDX-License-Identifier: MIT
"""The work of bench/real/python; prints a checksum. Argument: rounds."""

import json
import random
import re
import sys
import zlib


class Node:
    def __init__(self, key):
        self.key, self.left, self.right, self.text = key, None, None, str(key)


def insert(root, key):
    while True:
        side = "left" if key < root.key else "right"
        following = getattr(root, side)
        if following is None:
            setattr(root, side, Node(key))
            return
        root = following


def main(rounds):
    draw = random.Random(42)
    check = 0
    kept = {}
    for turn in range(rounds):
        records = [{"id": i, "name": "user%d" % draw.randrange(100000),
                    "tags": [draw.choice("abcdefgh") * 3 for _ in range(5)],
                    "score": draw.random()} for i in range(400)]
        text = json.dumps(records)
        again = json.loads(text)
        kept[turn % 40] = again
        words = re.findall(r"[a-z]+\d*", text)
        counts = {}
        for word in words:
            counts[word] = counts.get(word, 0) + 1
        lines = sorted("%s=%d" % item for item in counts.items())
        root = Node(50000)
        for _ in range(600):
            insert(root, draw.randrange(100000))
        check = zlib.crc32("\n".join(lines).encode(), check)
    print(check)


main(int(sys.argv[1]))
