SELECT json_build_object(
    'id', c.id,
    'email', c.email,
    'fullName', c.full_name,
    'born', c.born,
    'preferences', c.preferences,
    'createdAt', to_char(c.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
    'addresses', coalesce((SELECT json_agg(json_build_object(
                               'id', a.id, 'kind', a.kind, 'street', a.street,
                               'postalCode', a.postal_code, 'city', a.city, 'country', a.country)
                               ORDER BY a.id)
                           FROM addresses a WHERE a.customer_id = c.id), '[]'))
FROM customers c WHERE c.id = $1
