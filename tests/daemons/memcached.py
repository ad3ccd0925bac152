#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
memcached.py - clients of memcached that compare every answer.

    memcached.py PORT CLIENTS ROUNDS

Each client, a thread with a connection of its own, sends batches of ten sets
and ten gets, deletes and overwrites in between, and knows what must come back.
Prints how many requests were answered.
"""
import socket
import sys
import threading

BATCH = 10


def value_of(client, number):
    """Between 0 and 100,000 bytes, most of them short."""
    length = (number * 7919) % (100_000 if number % 50 == 0 else 2_000)
    return (b"%d.%d " % (client, number) * (length // 4 + 1))[:length]


def batch(connection, answers, client, start):
    keys = [b"k%d.%d" % (client, n % 500) for n in range(start, start + BATCH)]
    values = [value_of(client, n) for n in range(start, start + BATCH)]
    connection.sendall(b"".join(
        b"set %s 0 0 %d\r\n%s\r\n" % (key, len(value), value)
        for key, value in zip(keys, values))
        + b"".join(b"get %s\r\n" % key for key in keys)
        + b"delete %s\r\n" % keys[0])
    for _ in keys:
        assert answers.readline() == b"STORED\r\n"
    for key, value in zip(keys, values):
        assert answers.readline() == b"VALUE %s 0 %d\r\n" % (key, len(value))
        assert answers.read(len(value) + 2) == value + b"\r\n"
        assert answers.readline() == b"END\r\n"
    assert answers.readline() == b"DELETED\r\n"
    return 2 * BATCH + 1


def run(port, client, rounds, done):
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        answers = connection.makefile("rb")
        done[client] = sum(batch(connection, answers, client, BATCH * n)
                           for n in range(rounds))


def main():
    port, clients, rounds = map(int, sys.argv[1:])
    done = {}
    threads = [threading.Thread(target=run, args=(port, n, rounds, done))
               for n in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(done) != clients:
        sys.exit(f"only {len(done)} of {clients} clients came to their end")
    print(sum(done.values()))


if __name__ == "__main__":
    main()
