-- Set-up and tokens: small tables that every process caches, and the epoch that says when to forget.

-- name: epoch
-- And the brands that are held: whoever calls a provider must know them all, not only those that it has met.
select epoch, array(select brand_id from brand where held_at is not null) as held from installation;

-- name: move_epoch
update installation set epoch = epoch + 1;

-- name: proof
select proof from installation;

-- name: keep_proof
update installation set proof = $1 where proof is null;

-- name: brand
select * from brand where brand_id = $1;

-- name: brands
select * from brand where $1 in (brand_id, '*') order by brand_id;

-- name: texting_brands
-- Who sends texts through a provider: those that it is for, else those that have it on their route.
select brand_id from brand
 where case when $2::text[] is null then settings -> 'routes' -> 'sms' ? $1 else brand_id = any ($2) end
 order by brand_id;

-- name: put_brand
insert into brand (brand_id, settings, created_at, updated_at) values ($1, $2, $3, $3)
on conflict (brand_id) do update set settings = excluded.settings, updated_at = excluded.updated_at
returning *, xmax = 0 as is_new;

-- name: hold_brand
update brand set held_at = coalesce(held_at, $2) where brand_id = $1 returning *;

-- name: release_brand
update brand set held_at = null where brand_id = $1 returning *;

-- name: add_brand_key
insert into brand_key (brand_id, purpose, key_id, wrapped, created_at) values ($1, $2, $3, $4, $5);

-- name: brand_keys
select purpose, key_id, wrapped from brand_key where brand_id = $1 and retired_at is null;

-- name: provider
select * from provider where provider_id = $1;

-- name: providers
select * from provider where $1 = '*' or brands is null or $1 = any(brands) order by provider_id;

-- name: put_provider
insert into provider (provider_id, kind, settings, secrets, secret_names, baa, limits, brands, created_at, updated_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)
on conflict (provider_id) do update
   set kind = excluded.kind, settings = excluded.settings, secrets = excluded.secrets, secret_names = excluded.secret_names,
       baa = excluded.baa, limits = excluded.limits, brands = excluded.brands, updated_at = excluded.updated_at
returning *;

-- name: add_template
insert into template (template_id, brand_id, key, channel, description, category, max_late, on_unknown, created_by,
                      created_at, updated_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10)
on conflict (brand_id, key, channel) do nothing
returning *;

-- name: template
select * from template where template_id = $1;

-- name: find_template
select * from template where brand_id = $1 and key = $2 and channel = $3;

-- name: templates
select * from template
 where brand_id = $1
   and ($2::uuid is null or (created_at, template_id) < (select created_at, template_id from template where template_id = $2))
 order by created_at desc, template_id desc
 limit $3;

-- name: topics
-- What persons may choose: the channels and categories of templates that can be sent.
select distinct channel, category from template where brand_id = $1 and current_version_id is not null;

-- name: lock_template
select * from template where template_id = $1 for update;

-- name: add_version
insert into template_version (version_id, template_id, brand_id, version_number, source, variables, locale,
                              published_at, created_by, created_at)
select $1, $2, $3, coalesce(max(version_number), 0) + 1, $4, $5, $6, $7, $8, $9
  from template_version where template_id = $2
returning *;

-- name: current_versions
-- One a locale: its newest published version; the newest of all comes first.
select locale, version_id from (
  select distinct on (locale) locale, version_id, version_number from template_version
   where template_id = $1 and published_at is not null
   order by locale, version_number desc
) newest order by version_number desc;

-- name: set_current_version
update template set current_version_id = $2, updated_at = $3 where template_id = $1;

-- name: version
select * from template_version where version_id = $1;

-- name: versions
select * from template_version where template_id = $1 order by version_number desc;

-- name: free_name
-- What an expired token was called may be another's name now.
update token set revoked_at = $2 where name = $1 and revoked_at is null and expires_at <= $2;

-- name: add_token
insert into token (token_id, name, hash, brand_id, person, person_hash, scopes, created_at, expires_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9);

-- name: token
select * from token where hash = $1 and revoked_at is null;

-- name: tokens
select * from token order by created_at desc;

-- name: revoke_token
update token set revoked_at = $2 where name = $1 and revoked_at is null returning token_id;

-- name: tokens_of_person
select token_id from token where brand_id = $1 and person_hash = $2 and person <> ''::bytea;

-- name: revoke_persons_tokens
-- Revoked before or not: whose they were is not to be read.
update token set revoked_at = coalesce(revoked_at, $3), person = ''::bytea
 where brand_id = $1 and person_hash = $2 and person <> ''::bytea
returning token_id;

-- name: note
insert into ledger (bucket, brand_id, at, event, details, actor, request_id) values (0, $1, $2, $3, $4, $5, $6);
