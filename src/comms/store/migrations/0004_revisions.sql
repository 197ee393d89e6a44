-- A claim locks the newest queue row but reads the message as its statement's snapshot has it: a change
-- that commits between the two would be lost. The revisions differ then, and the message is read again.

alter table queue add column revision integer not null default 0;
alter table message add column revision integer not null default 0;
