-- Tasks below a task, what was asked of each, and the Pool that an Installation is moving to.
ALTER TABLE berth_tasks ADD COLUMN parent_id uuid;
ALTER TABLE berth_tasks ADD COLUMN input jsonb;
CREATE INDEX berth_tasks_parent_id_idx ON berth_tasks (parent_id);
ALTER TABLE berth_installations ADD COLUMN next_pool_key varchar(64);
CREATE INDEX berth_installations_next_pool_key_idx ON berth_installations (next_pool_key);
