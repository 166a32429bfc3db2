-- $1: a category, or 0; $2: how many
SELECT json_build_object('products', coalesce(json_agg(json_build_object(
    'id', p.id,
    'sku', p.sku,
    'name', p.name,
    'price', p.unit_price,
    'inStock', p.in_stock,
    'category', json_build_object('id', c.id, 'name', c.name, 'slug', c.slug)) ORDER BY p.id), '[]'))
FROM (SELECT * FROM products WHERE category_id = $1 OR $1 = 0 ORDER BY id LIMIT $2) p
JOIN categories c ON c.id = p.category_id
