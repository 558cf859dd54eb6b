-- Which tasks a task waits for, how one is to end that still has something to undo, which Installations are there only
-- for a task that has not ended, and which Installation needs which.
ALTER TABLE berth_tasks ADD COLUMN ending jsonb;

CREATE TABLE berth_task_waits (
  task_id uuid NOT NULL,
  waits_for uuid NOT NULL,
  CONSTRAINT berth_task_waits_pkey PRIMARY KEY (task_id, waits_for)
);
CREATE INDEX berth_task_waits_waits_for_idx ON berth_task_waits (waits_for);

CREATE TABLE berth_task_holds (
  task_id uuid NOT NULL,
  installation_id uuid NOT NULL,
  CONSTRAINT berth_task_holds_pkey PRIMARY KEY (task_id, installation_id)
);
CREATE INDEX berth_task_holds_installation_id_idx ON berth_task_holds (installation_id);

CREATE TABLE berth_dependencies (
  needing_id uuid NOT NULL,
  identifier varchar(255) NOT NULL,
  needed_id uuid NOT NULL,
  tenant_id uuid NOT NULL,
  type varchar(16) NOT NULL,
  value varchar(512) NOT NULL,
  CONSTRAINT berth_dependencies_pkey PRIMARY KEY (needing_id, identifier, needed_id)
);
CREATE INDEX berth_dependencies_needed_id_idx ON berth_dependencies (needed_id);
CREATE INDEX berth_dependencies_tenant_id_idx ON berth_dependencies (tenant_id);

ALTER TABLE berth_packages ADD COLUMN dependencies jsonb NOT NULL DEFAULT '[]';
