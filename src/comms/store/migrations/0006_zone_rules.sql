-- By which release of the time zones' rules all that waits was last looked at.

alter table installation add column zone_rules text;
