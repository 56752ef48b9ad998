-- Minutes of an hour, and hours of a day, of one series that are over: taken out of `call_series` and put into one value, since
-- charts read thousands of them. A table of its own, whose rows may be longer than those of `call_series`.
create table call_strip (
    series_id bigint not null,
    -- The length of what lies in it.
    level_ms bigint not null,
    -- When its hour or day begins.
    at_ms bigint not null,
    body bytea not null,
    primary key (series_id, level_ms, at_ms)
);

-- Up to here that is done.
create table strip_made (
    level_ms bigint primary key,
    until_ms bigint not null
);
