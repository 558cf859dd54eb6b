-- Why a build failed, for those who waited for it.
ALTER TABLE berth_images ADD COLUMN cause jsonb;

-- Images that came from another Berth: which one serves a Package on Engines of an arch.
CREATE TABLE berth_imported_images (
  checksum varchar(64) NOT NULL,
  arch varchar(16) NOT NULL,
  image_key varchar(128) NOT NULL,
  origin jsonb NOT NULL,
  created_at timestamptz(6) NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT berth_imported_images_pkey PRIMARY KEY (checksum, arch)
);
CREATE INDEX berth_imported_images_image_key_idx ON berth_imported_images (image_key);
