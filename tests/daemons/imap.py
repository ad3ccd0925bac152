#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
imap.py - a client for dovecot, who compares all that it gets.

    imap.py PORT greeting         print what the server says first
    imap.py PORT mail USERS MAILS as each user: put mails, search, fetch, delete
    imap.py PORT hold FILE        log in, and connect without it; write FILE, wait
"""
import imaplib
import random
import signal
import socket
import sys

PASSWORD = "crenel"


def connect(port):
    server = imaplib.IMAP4("127.0.0.1", port, timeout=30)
    server.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return server


def expect(answer, wanted=None):
    status, data = answer
    if status != "OK" or (wanted is not None and data != wanted):
        sys.exit(f"imap: {status} {str(data)[:300]}, not {str(wanted)[:300]}")
    return data


def make_mail(number):
    """Some are of one line, some of many, with attachments of 100 KB."""
    generator = random.Random(number)
    lines = [generator.randbytes(30).hex()
             for _ in range(1500 if number % 10 == 0 else number % 70)]
    return "\r\n".join([f"Subject: mail {number:05}",
                        f"From: Number {number} <n{number}@example.test>",
                        "", *lines, ""]).encode()


def mail(port, user, count):
    server = connect(port)
    expect(server.login(user, PASSWORD))
    mails = [make_mail(number) for number in range(count)]
    for text in mails:
        expect(server.append("INBOX", None, None, text))
    expect(server.select(), [str(count).encode()])
    expect(server.search(None, "FROM", '"n7@"'), [b"8"])
    expect(server.search(None, "BODY", mails[10].split()[-1].decode()), [b"11"])
    expect(server.search(None, "BODY", "embrasure"), [b""])
    fetched = expect(server.fetch("1:*", "(RFC822)"))
    if [item[1] for item in fetched if isinstance(item, tuple)] != mails:
        sys.exit(f"imap: the mails of {user} came back changed")
    expect(server.store("1:*", "+FLAGS", r"(\Deleted)"))
    expect(server.expunge())
    expect(server.select(), [b"0"])
    server.logout()


def main():
    port, command = int(sys.argv[1]), sys.argv[2]
    if command == "greeting":
        print(connect(port).welcome)
    elif command == "mail":
        for number in range(int(sys.argv[3])):
            mail(port, f"user{number}", int(sys.argv[4]))
    elif command == "hold":
        inside, outside = connect(port), connect(port)
        expect(inside.login("holder", PASSWORD))
        expect(inside.select())
        with open(sys.argv[3], "w", encoding="ascii") as file:
            print(outside.welcome, file=file)
        signal.pause()
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
