-- How many calls to a provider were made whose answer never came: a doubt outlives the next answer.

alter table delivery add column doubts integer not null default 0;
