-- About 270,000 rows, the same ones every time: each value is a hash of its row's number and of a
-- word, so the seed is the word, and neither the order of execution nor the clock matters.

BEGIN;

-- A number in [0, n), fixed for (word, i).
CREATE FUNCTION pick(word text, i bigint, n bigint) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (hashint8extended(i, hashtextextended(word, 20261123)) & 9223372036854775807) % n;

-- One of several words, likewise.
CREATE FUNCTION pick_one(word text, i bigint, choices text[]) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN choices[1 + pick(word, i, cardinality(choices)::bigint)];

-- 20 departments, the rest below them.
INSERT INTO categories
SELECT i, CASE WHEN i > 20 THEN 1 + pick('parent', i, 20) END,
       pick_one('kind', i, '{Garden,Kitchen,Books,Toys,Music,Sports,Office,Travel,Lighting,Tools}') ||
       pick_one('for', i, '{" for children"," for two"," for professionals"," for gifts",""," & more"}') ||
       ' ' || i,
       'c' || i
FROM generate_series(1, 300) i;

INSERT INTO products
    (id, sku, category_id, name, unit_price, weight_kg, attributes, tags, description, in_stock,
     internal_note, updated_at)
SELECT i, md5('sku' || i)::uuid, 21 + pick('category', i, 280),
       pick_one('adjective', i, '{Quiet,Bright,Sturdy,Café,Compact,Heavy,Blue,"Grün",Folding,Endless}') || ' ' ||
       pick_one('noun', i, '{lamp,chair,kettle,notebook,violin,tent,drill,puzzle,suitcase,"crème brûlée set"}') ||
       ' ' || i,
       (pick('price', i, 99900) + 100) / 100.0,
       CASE WHEN pick('weighed', i, 10) > 0 THEN pick('weight', i, 30000) / 1000.0 END,
       jsonb_build_object(
           'color', pick_one('color', i, '{red,green,blue,black,white}'),
           'size', jsonb_build_array(pick('w', i, 200), pick('h', i, 200), pick('d', i, 90) + 0.5),
           'warranty', CASE WHEN pick('warranty', i, 3) = 0 THEN NULL ELSE pick('years', i, 5) END),
       CASE pick('tags', i, 4) WHEN 0 THEN '{}'::text[] WHEN 1 THEN '{new}'
           ELSE ARRAY['sale', pick_one('tag', i, '{summer,winter,"with space","quo\"te"}')] END,
       -- One in ten is long and compresses badly.
       CASE WHEN i % 10 = 0
           THEN (SELECT string_agg(md5(i || '/' || n), ' ') FROM generate_series(1, 120) n)
           ELSE 'Item ' || i || ', as good as it looks.' END,
       pick('stock', i, 20) > 0, CASE WHEN i % 7 = 0 THEN 'margin ' || pick('margin', i, 40) END,
       timestamptz '2026-01-01 00:00:00Z' + pick('updated', i, 20000000) * interval '1 second'
FROM generate_series(1, 10000) i;

INSERT INTO product_images
SELECT i, n, 'https://img.example/' || md5('img' || i) || '/' || n || '.webp', decode(md5(i || ':' || n), 'hex')
FROM generate_series(1, 10000) i, generate_series(1, 4) n
WHERE n <= 1 + pick('images', i, 4);

INSERT INTO customers (id, email, full_name, born, preferences, created_at)
SELECT i, 'customer' || i || '@example.org',
       pick_one('first', i, '{Ada,Bjørn,Chloé,Dmitri,Élodie,Farid,Grace,"Nuño",Ingrid,李}') || ' ' ||
       pick_one('last', i, '{Lovelace,"O''Neill",Müller,Rossi,Nakamura,Okafor,"van Dijk",Silva,Kaya,王}'),
       CASE WHEN pick('known', i, 5) > 0 THEN date '1940-01-01' + pick('born', i, 24000)::int END,
       CASE pick('prefs', i, 3) WHEN 0 THEN NULL WHEN 1 THEN '{}'
           ELSE jsonb_build_object('newsletter', pick('news', i, 2) = 1, 'language', pick_one('lang', i, '{en,fr,de,ja}')) END,
       timestamptz '2020-01-01 00:00:00Z' + pick('joined', i, 200000000) * interval '1 second'
FROM generate_series(1, 20000) i;

INSERT INTO addresses (id, customer_id, kind, street, postal_code, city, country)
SELECT row_number() OVER (ORDER BY i, n), i, CASE n WHEN 1 THEN 'billing' ELSE 'shipping' END,
       pick_one('street', i * 10 + n, '{Main Street,Rue de l''Église,Hauptstraße,Via Roma,"Calle Mayor"}') || ' ' ||
       1 + pick('house', i * 10 + n, 200),
       lpad(pick('postal', i * 10 + n, 99999)::text, 5, '0'),
       pick_one('city', i * 10 + n, '{Lyon,Zürich,Köln,Málaga,Århus,London,Kyoto}'),
       pick_one('country', i * 10 + n, '{FR,CH,DE,ES,DK,GB,JP}')
FROM generate_series(1, 20000) i, generate_series(1, 3) n
WHERE n <= 1 + pick('addresses', i, 3);

INSERT INTO orders (id, customer_id, status, placed_at, note)
SELECT i, 1 + pick('customer', i, 20000),
       pick_one('status', i, '{new,paid,packed,shipped,delivered,delivered,delivered,returned}')::order_status,
       timestamptz '2024-01-01 00:00:00Z' + i * interval '30 minutes' / 20,
       CASE WHEN pick('note', i, 12) = 0 THEN 'ring twice, please' END
FROM generate_series(1, 40000) i;

INSERT INTO order_items
SELECT i, n, p.id, 1 + pick('quantity', i * 10 + n, 4), p.unit_price
FROM generate_series(1, 40000) i
CROSS JOIN generate_series(1, 4) n
JOIN products p ON p.id = 1 + pick('product', i * 10 + n, 10000)
WHERE n <= 1 + pick('items', i, 4);

INSERT INTO payments (id, order_id, method, amount, paid_at)
SELECT row_number() OVER (ORDER BY o.id), o.id, pick_one('method', o.id, '{card,card,card,transfer,voucher}'),
       (SELECT sum(quantity * unit_price) FROM order_items WHERE order_id = o.id),
       o.placed_at + interval '3 minutes'
FROM orders o WHERE o.status <> 'new';

-- What the rows above took from the identities.
SELECT setval(pg_get_serial_sequence(t, 'id'), 1000000)
FROM unnest('{products,customers,addresses,orders,payments}'::text[]) t;

DROP FUNCTION pick_one(text, bigint, text[]);
DROP FUNCTION pick(text, bigint, bigint);
COMMIT;
ANALYZE;
