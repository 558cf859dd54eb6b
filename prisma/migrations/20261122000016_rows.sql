-- Where the previous version came from, for a rollback; what lists of Installations are ordered and searched by.
ALTER TABLE berth_installations ADD COLUMN previous_source varchar(63);
ALTER TABLE berth_installations ADD COLUMN previous_meta jsonb;
CREATE INDEX berth_installations_tenant_id_created_at_id_idx ON berth_installations (tenant_id, created_at, id);

ALTER TABLE berth_packages ADD COLUMN search text;
-- jsonb takes neither the character 0 nor half a surrogate pair; a package that has one is found by its plugin id.
UPDATE berth_packages SET search = lower(concat_ws(E'\n', plugin_id,
  (SELECT string_agg(value, E'\n') FROM jsonb_each_text(
    CASE jsonb_typeof(declaration::jsonb -> 'label') WHEN 'object' THEN declaration::jsonb -> 'label' END)),
  (SELECT string_agg(value, E'\n') FROM jsonb_each_text(
    CASE jsonb_typeof(declaration::jsonb -> 'description') WHEN 'object' THEN declaration::jsonb -> 'description' END))))
WHERE declaration !~* '\\u(0000|d[89a-f])';
