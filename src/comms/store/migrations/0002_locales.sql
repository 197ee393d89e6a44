-- A version speaks one language; of each the newest published one is current.

alter table template_version add column locale text;              -- null: for whoever has no better one
alter table template_version add column published_at timestamptz;  -- null: a draft
update template_version v set published_at = v.created_at
  from template t where t.current_version_id = v.version_id;
