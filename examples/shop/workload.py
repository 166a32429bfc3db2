#!/usr/bin/env python3
"""A live workload on the shop: orders, payments, prices, moves, key changes, deletes.

workload.py --uri postgresql://.../shop [--rate 100] [--seconds 60] [--seed 1] [--spare 2000]
            [--products 10000]

Runs until --seconds have passed or SIGTERM or SIGINT, then prints what it did as one line of JSON.
The same seed makes the same decisions on the same data. A transaction in twenty is rolled back.
Customers and orders up to --spare are changed, but neither deleted nor renumbered, so that readers
have something that is sure to be there.
"""
import argparse
import collections
import decimal
import json
import random
import signal
import threading
import time

import psycopg


class Workload:
    """Kinds of transactions, each a method that gets a cursor in an open transaction."""

    # How often each kind comes, out of their sum.
    WEIGHTS = {
        "place_order": 40, "pay": 25, "change_status": 15, "change_price": 4, "describe": 3,
        "move_item": 4, "change_item": 4, "move_address": 2, "add_image": 2, "new_customer": 3,
        "rename_category": 0.3, "delete_order": 2, "delete_customer": 0.5, "renumber_order": 1,
        "renumber_product": 0.2,
    }
    ROLLED_BACK = 0.05

    def __init__(self, uri, seed, spare, products):
        self.random = random.Random(seed)
        self.uri, self.spare, self.products = uri, spare, products
        self.done = collections.Counter()
        self.rows = 0
        self.longest_us = 0

    # Choices

    def _id(self, cursor, table):
        """A random id that exists: the first at or after a random place in the key range."""
        cursor.execute(
            f"SELECT id FROM {table} WHERE id >= (SELECT min(id) + (%s * (max(id) - min(id)))::bigint"
            f" FROM {table}) ORDER BY id LIMIT 1", [self.random.random()])
        return cursor.fetchone()[0]

    def _product(self, cursor):
        # Most business is with few products.
        last = 1 + int(self.products * self.random.random() ** 2)
        cursor.execute(
            "SELECT id, unit_price FROM products WHERE id >= %s ORDER BY id LIMIT 1", [last])
        return cursor.fetchone()

    def _run(self, cursor, statement, parameters=()):
        cursor.execute(statement, parameters)
        self.rows += max(cursor.rowcount, 0)

    # Transactions

    def place_order(self, cursor):
        customer = self._id(cursor, "customers")
        cursor.execute("INSERT INTO orders (customer_id, placed_at) VALUES (%s, clock_timestamp())"
                       " RETURNING id", [customer])
        order = cursor.fetchone()[0]
        self.rows += 1
        for line in range(1, self.random.randint(1, 4) + 1):
            product, price = self._product(cursor)
            self._run(cursor, "INSERT INTO order_items VALUES (%s, %s, %s, %s, %s)",
                      [order, line, product, self.random.randint(1, 5), price])

    def pay(self, cursor):
        order = self._id(cursor, "orders")
        self._run(cursor, "INSERT INTO payments (order_id, method, amount, paid_at)"
                  " SELECT %s, 'card', coalesce(sum(quantity * unit_price), 0), clock_timestamp()"
                  " FROM order_items WHERE order_id = %s", [order, order])
        self._run(cursor, "UPDATE orders SET status = 'paid' WHERE id = %s", [order])

    def change_status(self, cursor):
        status = self.random.choice(["packed", "shipped", "delivered", "returned"])
        note = self.random.choice([None, "leave at the door", "gift – \u2764"])
        self._run(cursor, "UPDATE orders SET status = %s, note = %s WHERE id = %s",
                  [status, note, self._id(cursor, "orders")])

    def change_price(self, cursor):
        # The description is not touched: where it is long, the log does not carry it.
        self._run(cursor, "UPDATE products SET unit_price = round(unit_price * %s, 2),"
                  " updated_at = clock_timestamp() WHERE id = %s",
                  [decimal.Decimal(self.random.randint(80, 125)) / 100, self._product(cursor)[0]])

    def describe(self, cursor):
        self._run(cursor, "UPDATE products SET description = (SELECT string_agg(md5(random()::text),"
                  " ' ') FROM generate_series(1, %s)) WHERE id = %s",
                  [self.random.choice([3, 150]), self._product(cursor)[0]])

    def move_item(self, cursor):
        from_order, to_order = self._id(cursor, "orders"), self._id(cursor, "orders")
        self._run(cursor,
                  "UPDATE order_items SET order_id = %(to)s, line_no = (SELECT coalesce(max(line_no),"
                  " 0) + 1 FROM order_items WHERE order_id = %(to)s) WHERE order_id = %(from)s AND"
                  " line_no = (SELECT max(line_no) FROM order_items WHERE order_id = %(from)s)",
                  {"from": from_order, "to": to_order})

    def change_item(self, cursor):
        order = self._id(cursor, "orders")
        if self.random.random() < 0.5:
            self._run(cursor, "UPDATE order_items SET quantity = quantity + 1 WHERE order_id = %s",
                      [order])
        else:
            self._run(cursor, "DELETE FROM order_items WHERE order_id = %s AND line_no > 1", [order])

    def move_address(self, cursor):
        self._run(cursor, "UPDATE addresses SET customer_id = %s WHERE id = %s",
                  [self._id(cursor, "customers"), self._id(cursor, "addresses")])

    def add_image(self, cursor):
        product = self._product(cursor)[0]
        self._run(cursor, "INSERT INTO product_images SELECT %s, coalesce(max(position), 0) + 1,"
                  " 'https://img.example/new', sha256('new') FROM product_images"
                  " WHERE product_id = %s", [product, product])

    def new_customer(self, cursor):
        cursor.execute("INSERT INTO customers (email, full_name, preferences, created_at) VALUES"
                       " ('new' || gen_random_uuid() || '@example.org', 'New Customer',"
                       " '{\"newsletter\": true}', clock_timestamp()) RETURNING id")
        customer = cursor.fetchone()[0]
        self.rows += 1
        self._run(cursor, "INSERT INTO addresses (customer_id, kind, street, postal_code, city,"
                  " country) VALUES (%s, 'billing', 'New Street 1', '00001', 'Oslo', 'NO')",
                  [customer])

    def rename_category(self, cursor):
        # One row, and every product that embeds it.
        self._run(cursor, "UPDATE categories SET name = split_part(name, ' (', 1) || ' (' || %s ||"
                  " ')' WHERE id = %s",
                  [self.random.randint(1, 999), self.random.randint(21, 300)])

    def delete_order(self, cursor):
        self._run(cursor, "DELETE FROM orders WHERE id = %s AND id > %s",
                  [self._id(cursor, "orders"), self.spare])

    def delete_customer(self, cursor):
        # Addresses, orders, their items and payments go with it.
        self._run(cursor, "DELETE FROM customers c WHERE id = %(id)s AND id > %(spare)s AND NOT EXISTS"
                  " (SELECT FROM orders WHERE customer_id = c.id AND id <= %(spare)s)",
                  {"id": self._id(cursor, "customers"), "spare": self.spare})

    def renumber_order(self, cursor):
        self._run(cursor, "UPDATE orders SET id = nextval(pg_get_serial_sequence('orders', 'id'))"
                  " WHERE id = %s AND id > %s", [self._id(cursor, "orders"), self.spare])

    def renumber_product(self, cursor):
        self._run(cursor, "UPDATE products SET id = nextval(pg_get_serial_sequence('products',"
                  " 'id')) WHERE id = %s", [self.random.randint(self.products * 9 // 10, self.products)])

    # The loop

    def run(self, rate, seconds, stop):
        """Until `stop` is set or time is up. Falls behind rather than bursts when it is too slow."""
        start = due = time.monotonic()
        kinds, weights = list(self.WEIGHTS), list(self.WEIGHTS.values())
        with psycopg.connect(self.uri, application_name="shop workload") as connection:
            while not stop.is_set() and (not seconds or time.monotonic() - start < seconds):
                self._transaction(connection, self.random.choices(kinds, weights)[0])
                due = max(due + 1 / rate, time.monotonic() - 1)
                stop.wait(max(0, due - time.monotonic()))
        return time.monotonic() - start

    def _transaction(self, connection, kind):
        began, rows = time.monotonic(), self.rows
        rolled_back = self.random.random() < self.ROLLED_BACK
        with connection.transaction(force_rollback=rolled_back), connection.cursor() as cursor:
            getattr(self, kind)(cursor)
        if rolled_back:
            self.rows = rows
        self.done["rolled_back" if rolled_back else kind] += 1
        self.longest_us = max(self.longest_us, int((time.monotonic() - began) * 1e6))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--uri", required=True)
    parser.add_argument("--rate", type=float, default=100, help="transactions a second")
    parser.add_argument("--seconds", type=float, default=0, help="0: until stopped")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--spare", type=int, default=2000, help="ids that stay")
    parser.add_argument("--products", type=int, default=10000, help="how many data.sql has made")
    arguments = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    workload = Workload(arguments.uri, arguments.seed, arguments.spare, arguments.products)
    seconds = workload.run(arguments.rate, arguments.seconds, stop)
    total = sum(workload.done.values())
    print(json.dumps({
        "transactions": total, "seconds": round(seconds, 1), "rows": workload.rows,
        "rate": round(total / seconds, 1), "longest_us": workload.longest_us,
        "kinds": dict(sorted(workload.done.items()))}))


if __name__ == "__main__":
    main()
