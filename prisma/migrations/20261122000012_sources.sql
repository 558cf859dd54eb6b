-- What the marketplace gives to everybody any tenant may have without fetching it again.
ALTER TABLE berth_packages ADD COLUMN from_marketplace boolean NOT NULL DEFAULT false;
