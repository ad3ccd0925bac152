#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
smtp.py - a client for postfix, who compares what is delivered.

    smtp.py PORT greeting              print what the server says first
    smtp.py PORT send COUNT MAILDIR    send mails; wait for each, unchanged
"""
import pathlib
import random
import smtplib
import sys
import time


def make_body(number):
    generator = random.Random(number)
    lines = [generator.randbytes(30).hex()
             for _ in range(1500 if number % 10 == 0 else number % 70)]
    return "\n".join([f"body {number}", *lines, ""])


def main():
    server = smtplib.SMTP(timeout=30)
    greeting = server.connect("127.0.0.1", int(sys.argv[1]))
    if sys.argv[2] == "greeting":
        print(greeting)
        return
    bodies = sorted(make_body(n) for n in range(int(sys.argv[3])))
    for body in bodies:
        server.sendmail("sender@example.test", ["user@example.test"],
                        f"Subject: mail\n\n{body}")
    server.quit()
    new = pathlib.Path(sys.argv[4], "new")
    for _ in range(300):
        if new.is_dir() and len(list(new.iterdir())) >= len(bodies):
            break
        time.sleep(0.1)
    delivered = sorted(file.read_text("ascii").partition("\n\n")[2]
                       for file in new.iterdir())
    if delivered != bodies:
        sys.exit(f"smtp: {len(delivered)} mails came, of {len(bodies)}, "
                 "or they were changed")


if __name__ == "__main__":
    main()
