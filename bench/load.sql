-- %(flat)s rows, %(orders)s orders with four items each.
INSERT INTO flat
SELECT i, 'product number ' || i, (i %% 100000) / 100.0, i %% 3 = 0,
       '2024-01-01'::timestamptz + i * interval '1 second', md5(i::text)::uuid, sqrt(i),
       jsonb_build_object('color', (ARRAY['red', 'green', 'blue'])[1 + i %% 3], 'size', i %% 50,
                          'tags', jsonb_build_array('a' || i %% 7, 'b' || i %% 11))
FROM generate_series(1, %(flat)s) i;
INSERT INTO orders
SELECT i, i %% 10007, '2024-01-01'::timestamptz + i * interval '1 minute',
       (ARRAY['new', 'paid', 'sent'])[1 + i %% 3]
FROM generate_series(1, %(orders)s) i;
INSERT INTO items
SELECT i, 1 + (i - 1) / 4, i %% 5003, 1 + i %% 9, (i %% 9999) / 100.0
FROM generate_series(1, %(orders)s * 4) i;
CREATE INDEX ON items (order_id);
ANALYZE;
CHECKPOINT;
