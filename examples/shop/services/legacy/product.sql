SELECT json_build_object(
    'id', p.id,
    'sku', p.sku,
    'name', p.name,
    'price', p.unit_price,
    'weightKg', p.weight_kg,
    'attributes', p.attributes,
    'tags', p.tags,
    'description', p.description,
    'inStock', p.in_stock,
    'category', (SELECT json_build_object('id', c.id, 'name', c.name, 'slug', c.slug)
                 FROM categories c WHERE c.id = p.category_id),
    'images', coalesce((SELECT json_agg(json_build_object('position', i.position, 'url', i.url,
                                                          'checksum', encode(i.checksum, 'hex'))
                                        ORDER BY i.position)
                        FROM product_images i WHERE i.product_id = p.id), '[]'),
    'updatedAt', to_char(p.updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))
FROM products p WHERE p.id = $1
