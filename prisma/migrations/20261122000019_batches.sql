-- What a batch of installs and upgrades has begun and how each of them ended, as long as the batch is under way.
CREATE TABLE berth_batch_items (
  batch_id uuid NOT NULL,
  identifier varchar(255) NOT NULL,
  place integer NOT NULL,
  is_upgrade boolean NOT NULL,
  task_id uuid,
  state varchar(16) NOT NULL DEFAULT 'pending',
  cause jsonb,
  CONSTRAINT berth_batch_items_pkey PRIMARY KEY (batch_id, identifier)
);
