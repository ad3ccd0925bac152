# SPDX-License-Identifier: MIT
"""work-sql.py SEED - statements for sqlite: tables, indexes, joins, text."""
import random
import sys

random.seed(int(sys.argv[1]))
print("pragma journal_mode = off; pragma synchronous = off;")
for table in range(8):
    print(f"create table t{table}(a integer primary key, b text, c real);")
    print(f"create index i{table} on t{table}(b, c);")
print("begin;")
for _ in range(60000):
    table = random.randrange(8)
    key = random.randrange(5000)
    text = "".join(random.choices("abcdefgh ", k=random.randrange(200)))
    choice = random.random()
    if choice < 0.6:
        print(f"insert or replace into t{table} values({key}, '{text}', {random.random()});")
    elif choice < 0.8:
        print(f"delete from t{table} where a = {key};")
    elif choice < 0.99:
        print(f"select count(*), group_concat(substr(b, 1, 3)) from t{table} where b > '{text[:3]}' and a < {key} limit 5;")
    else:
        print(f"select x.b || y.b from t{table} x join t{(table + 1) % 8} y on x.a = y.a order by x.c limit 20;")
print("commit; select count(*) from t0; vacuum;")
