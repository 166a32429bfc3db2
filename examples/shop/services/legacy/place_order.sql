-- $1: a customer; $2: [{"productId": 7, "quantity": 1}, ...]; $3: a note, or NULL.
-- All of it or nothing: no row comes back where the customer or a product is not there.
WITH line AS (
    SELECT line_no, (item->>'productId')::bigint AS product_id, (item->>'quantity')::int AS quantity
    FROM json_array_elements($2::json) WITH ORDINALITY AS given (item, line_no)
), placed AS (
    INSERT INTO orders (customer_id, note, placed_at)
    SELECT c.id, $3, clock_timestamp() FROM customers c
    WHERE c.id = $1 AND NOT EXISTS (SELECT FROM line LEFT JOIN products p ON p.id = line.product_id
                                    WHERE p.id IS NULL)
    RETURNING id
), items AS (
    INSERT INTO order_items (order_id, line_no, product_id, quantity, unit_price)
    SELECT placed.id, line.line_no, p.id, line.quantity, p.unit_price
    FROM placed, line JOIN products p ON p.id = line.product_id
)
SELECT id FROM placed
