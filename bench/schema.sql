-- The tables of the bench: made once, the same rows for the bound and for the product.
CREATE TABLE flat (
    id bigint PRIMARY KEY,
    name text NOT NULL,
    price numeric(12, 2) NOT NULL,
    active boolean NOT NULL,
    created timestamptz NOT NULL,
    owner uuid NOT NULL,
    score double precision,
    attributes jsonb NOT NULL
);
CREATE TABLE orders (
    id bigint PRIMARY KEY,
    customer_id bigint NOT NULL,
    placed timestamptz NOT NULL,
    status text NOT NULL
);
CREATE TABLE items (
    id bigint PRIMARY KEY,
    order_id bigint NOT NULL REFERENCES orders,
    product_id bigint NOT NULL,
    quantity integer NOT NULL,
    price numeric(12, 2) NOT NULL
);
CREATE TABLE stream (LIKE flat INCLUDING ALL);
CREATE TABLE pulse (id bigint PRIMARY KEY, sent_us bigint NOT NULL, note text NOT NULL);
