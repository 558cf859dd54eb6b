-- What a Tenant asked of its limits, and the image that a rollback starts from.
ALTER TABLE berth_installations ADD COLUMN limits_wanted jsonb;
ALTER TABLE berth_installations ADD COLUMN previous_image_key varchar(128);

-- Pools that go once their last call has ended, and Containers that are to be replaced by newer ones.
ALTER TABLE berth_pools ADD COLUMN retiring boolean NOT NULL DEFAULT false;
ALTER TABLE berth_pools ADD COLUMN next_limits jsonb;
ALTER TABLE berth_pools ADD COLUMN generation_min integer NOT NULL DEFAULT 0;

-- Upgrades that an upload brought, until each is a task of its own.
ALTER TABLE berth_tenants ADD COLUMN auto_upgrade boolean NOT NULL DEFAULT false;
CREATE TABLE berth_upgrades_due (
  installation_id uuid PRIMARY KEY,
  identifier varchar(255) NOT NULL,
  key_id varchar(64) NOT NULL,
  key_name varchar(255) NOT NULL,
  request_id varchar(128) NOT NULL,
  created_at timestamptz(6) NOT NULL DEFAULT clock_timestamp()
);
