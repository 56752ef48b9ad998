-- Statistics on their way: a flush writes one small row ten times a second, and once a second what waits is added to the
-- roll-ups. Writing every roll-up ten times a second cost ten times as much.
create table flush_pending (
    -- The run of a process that wrote it.
    writer text not null,
    -- Counts that run's flushes.
    seq bigint not null,
    at_ms bigint not null,
    body bytea not null,
    primary key (writer, seq)
);

-- The last flush of each run: one whose answer was lost is handed in again, and known by its number.
create table flush_writer (
    writer text primary key,
    seq bigint not null,
    at_ms bigint not null
);

-- Roll-ups as packed values. 0006 gave each figure and each bucket a column: most were zero, and in PostgreSQL a row took
-- 650 bytes. Each opening of the database writes rows of its own, so that none waits for another; readers add them up.
-- Rows of 0006 are packed by the program when it migrates, and the three tables stay empty.

-- One series in one minute, hour or day: figures and histograms, for charts.
create table call_series (
    series_id bigint not null,
    -- The length of the time it is of.
    level_ms bigint not null,
    at_ms bigint not null,
    writer bigint not null,
    body bytea not null,
    primary key (series_id, level_ms, at_ms, writer)
);

-- All pairs of workspace and model in one minute, hour or day: figures, for tables. A page adds up hundreds of pairs over
-- many minutes, and a row for each pair and minute costs fifty times as much to read.
create table call_sum (
    account_id text not null,
    lane text not null,
    level_ms bigint not null,
    at_ms bigint not null,
    writer bigint not null,
    body bytea not null,
    primary key (account_id, lane, level_ms, at_ms, writer)
);

-- The charges of one flush in one row; 0008 kept a row for each bucket and pair, hundreds of them ten times a second.
create table usage_packet (
    node text not null,
    -- When it was written, and when its last bucket ends, in µs of the machine's monotonic clock.
    at_us bigint not null,
    until_us bigint not null,
    body bytea not null,
    primary key (node, at_us)
);

-- Failed sign-ins, for all processes together: until when the next ones wait. Strangers choose what is kept here, so it
-- is a digest, and goes when its time is over.
create table sign_in_attempt (
    digest bytea primary key,
    until_ms bigint not null
);

create index sign_in_attempt_by_time on sign_in_attempt (until_ms);

-- A known text sealed under the key file, by which a backup that meets another key file is told at once.
alter table installation add column key_check bytea;

-- Already packed; compressing again would cost more than it saves.
alter table call_sum alter column body set storage external;

alter table flush_pending alter column body set storage external;
