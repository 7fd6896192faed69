CREATE TABLE customers (
  id uuid PRIMARY KEY,
  name text NOT NULL,
  email_cipher text NOT NULL,
  email_index bytea NOT NULL,
  version integer NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL DEFAULT now(),
  deleted_at timestamptz
);
CREATE UNIQUE INDEX customers_email ON customers (email_index) WHERE deleted_at IS NULL;

CREATE TABLE products (
  id uuid PRIMARY KEY,
  sku text NOT NULL,
  price_cents integer NOT NULL CHECK (price_cents >= 0),
  stock integer NOT NULL CHECK (stock >= 0)
);

CREATE TABLE orders (
  id uuid PRIMARY KEY,
  customer_id uuid NOT NULL REFERENCES customers ON DELETE RESTRICT,
  status text NOT NULL CHECK (status IN ('draft', 'placed', 'paid', 'shipped', 'cancelled')),
  total_cents integer NOT NULL CHECK (total_cents >= 0),
  version integer NOT NULL DEFAULT 1,
  deleted_at timestamptz
);
