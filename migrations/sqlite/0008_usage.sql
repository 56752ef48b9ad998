-- What was charged in the last minute, so that a restart grants no second quota. Written every 100 ms, kept for two minutes.

create table usage_bucket (
    -- Which process: each keeps its own ledger.
    node text not null,
    -- The bucket's end in µs of the machine's monotonic clock.
    end_us integer not null,
    account_id text not null,
    model_code text not null,
    workspace_id text not null,
    requests integer not null,
    tokens integer not null,
    workspace_requests integer not null,
    workspace_tokens integer not null,
    primary key (node, end_us, account_id, model_code, workspace_id)
) strict, without rowid;

create table usage_heartbeat (
    node text primary key,
    -- The boot whose monotonic clock `at_us` and the buckets are of.
    boot text not null,
    at_us integer not null,
    at_ms integer not null,
    -- Whether the process stopped after writing everything.
    clean integer not null
) strict;
