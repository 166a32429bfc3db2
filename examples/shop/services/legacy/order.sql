SELECT json_build_object(
    'id', o.id,
    'customerId', o.customer_id,
    'status', o.status,
    'placedAt', to_char(o.placed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
    'note', o.note,
    'items', coalesce((SELECT json_agg(json_build_object(
                           'lineNo', i.line_no, 'productId', i.product_id, 'sku', p.sku,
                           'name', p.name, 'quantity', i.quantity, 'unitPrice', i.unit_price)
                           ORDER BY i.line_no)
                       FROM order_items i JOIN products p ON p.id = i.product_id
                       WHERE i.order_id = o.id), '[]'),
    'payments', coalesce((SELECT json_agg(json_build_object(
                              'id', y.id, 'method', y.method, 'amount', y.amount,
                              'paidAt', to_char(y.paid_at AT TIME ZONE 'UTC',
                                                'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))
                              ORDER BY y.id)
                          FROM payments y WHERE y.order_id = o.id), '[]'),
    'total', (SELECT coalesce(sum(i.quantity * i.unit_price), 0.00)
              FROM order_items i WHERE i.order_id = o.id))
FROM orders o WHERE o.id = $1
