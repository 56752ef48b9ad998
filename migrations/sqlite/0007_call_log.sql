-- One row a call, without prompts, for the explanation of refusals. A day goes into table day mod 16, which is emptied
-- whole when its day is no longer kept: never row by row.

create table call_log_slot (
    slot integer primary key,
    day integer not null
) strict;

create table call_log_00 (
    account_id text not null,
    at_ms integer not null,
    id text not null,
    workspace_id text not null,
    key_id text not null,
    model_code text not null,
    lane text not null,
    outcome text not null,
    status integer not null,
    cause text,
    scope text,
    window_s integer,
    explanation text,
    tokens_prompt integer not null,
    tokens_output integer not null,
    tokens_total integer not null,
    estimated integer not null,
    streamed integer not null,
    latency_us integer,
    ttft_us integer,
    upstream_id text,
    notable integer not null,
    primary key (account_id, at_ms, id)
) strict, without rowid;

create index call_log_00_notable on call_log_00 (account_id, at_ms) where notable;

create table call_log_01 (
    account_id text not null,
    at_ms integer not null,
    id text not null,
    workspace_id text not null,
    key_id text not null,
    model_code text not null,
    lane text not null,
    outcome text not null,
    status integer not null,
    cause text,
    scope text,
    window_s integer,
    explanation text,
    tokens_prompt integer not null,
    tokens_output integer not null,
    tokens_total integer not null,
    estimated integer not null,
    streamed integer not null,
    latency_us integer,
    ttft_us integer,
    upstream_id text,
    notable integer not null,
    primary key (account_id, at_ms, id)
) strict, without rowid;

create index call_log_01_notable on call_log_01 (account_id, at_ms) where notable;

create table call_log_02 (
    account_id text not null,
    at_ms integer not null,
    id text not null,
    workspace_id text not null,
    key_id text not null,
    model_code text not null,
    lane text not null,
    outcome text not null,
    status integer not null,
    cause text,
    scope text,
    window_s integer,
    explanation text,
    tokens_prompt integer not null,
    tokens_output integer not null,
    tokens_total integer not null,
    estimated integer not null,
    streamed integer not null,
    latency_us integer,
    ttft_us integer,
    upstream_id text,
    notable integer not null,
    primary key (account_id, at_ms, id)
) strict, without rowid;

create index call_log_02_notable on call_log_02 (account_id, at_ms) where notable;

create table call_log_03 (
    account_id text not null,
    at_ms integer not null,
    id text not null,
    workspace_id text not null,
    key_id text not null,
    model_code text not null,
    lane text not null,
    outcome text not null,
    status integer not null,
    cause text,
    scope text,
    window_s integer,
    explanation text,
    tokens_prompt integer not null,
    tokens_output integer not null,
    tokens_total integer not null,
    estimated integer not null,
    streamed integer not null,
    latency_us integer,
    ttft_us integer,
    upstream_id text,
    notable integer not null,
    primary key (account_id, at_ms, id)
) strict, without rowid;

create index call_log_03_notable on call_log_03 (account_id, at_ms) where notable;

create table call_log_04 (
    account_id text not null,
    at_ms integer not null,
    id text not null,
    workspace_id text not null,
    key_id text not null,
    model_code text not null,
    lane text not null,
    outcome text not null,
    status integer not null,
    cause text,
    scope text,
    window_s integer,
    explanation text,
    tokens_prompt integer not null,
    tokens_output integer not null,
    tokens_total integer not null,
    estimated integer not null,
    streamed integer not null,
    latency_us integer,
    ttft_us integer,
    upstream_id text,
    notable integer not null,
    primary key (account_id, at_ms, id)
) strict, without rowid;

create index call_log_04_notable on call_log_04 (account_id, at_ms) where notable;

create table call_log_05 (
    account_id text not null,
    at_ms integer not null,
    id text not null,
    workspace_id text not null,
    key_id text not null,
    model_code text not null,
    lane text not null,
    outcome text not null,
    status integer not null,
    cause text,
    scope text,
    window_s integer,
    explanation text,
    tokens_prompt integer not null,
    tokens_output integer not null,
    tokens_total integer not null,
    estimated integer not null,
    streamed integer not null,
    latency_us integer,
    ttft_us integer,
    upstream_id text,
    notable integer not null,
    primary key (account_id, at_ms, id)
) strict, without rowid;

create index call_log_05_notable on call_log_05 (account_id, at_ms) where notable;

create table call_log_06 (
    account_id text not null,
    at_ms integer not null,
    id text not null,
    workspace_id text not null,
    key_id text not null,
    model_code text not null,
    lane text not null,
    outcome text not null,
    status integer not null,
    cause text,
    scope text,
    window_s integer,
    explanation text,
    tokens_prompt integer not null,
    tokens_output integer not null,
    tokens_total integer not null,
    estimated integer not null,
    streamed integer not null,
    latency_us integer,
    ttft_us integer,
    upstream_id text,
    notable integer not null,
    primary key (account_id, at_ms, id)
) strict, without rowid;

create index call_log_06_notable on call_log_06 (account_id, at_ms) where notable;

create table call_log_07 (
    account_id text not null,
    at_ms integer not null,
    id text not null,
    workspace_id text not null,
    key_id text not null,
    model_code text not null,
    lane text not null,
    outcome text not null,
    status integer not null,
    cause text,
    scope text,
    window_s integer,
    explanation text,
    tokens_prompt integer not null,
    tokens_output integer not null,
    tokens_total integer not null,
    estimated integer not null,
    streamed integer not null,
    latency_us integer,
    ttft_us integer,
    upstream_id text,
    notable integer not null,
    primary key (account_id, at_ms, id)
) strict, without rowid;

create index call_log_07_notable on call_log_07 (account_id, at_ms) where notable;

create table call_log_08 (
    account_id text not null,
    at_ms integer not null,
    id text not null,
    workspace_id text not null,
    key_id text not null,
    model_code text not null,
    lane text not null,
    outcome text not null,
    status integer not null,
    cause text,
    scope text,
    window_s integer,
    explanation text,
    tokens_prompt integer not null,
    tokens_output integer not null,
    tokens_total integer not null,
    estimated integer not null,
    streamed integer not null,
    latency_us integer,
    ttft_us integer,
    upstream_id text,
    notable integer not null,
    primary key (account_id, at_ms, id)
) strict, without rowid;

create index call_log_08_notable on call_log_08 (account_id, at_ms) where notable;

create table call_log_09 (
    account_id text not null,
    at_ms integer not null,
    id text not null,
    workspace_id text not null,
    key_id text not null,
    model_code text not null,
    lane text not null,
    outcome text not null,
    status integer not null,
    cause text,
    scope text,
    window_s integer,
    explanation text,
    tokens_prompt integer not null,
    tokens_output integer not null,
    tokens_total integer not null,
    estimated integer not null,
    streamed integer not null,
    latency_us integer,
    ttft_us integer,
    upstream_id text,
    notable integer not null,
    primary key (account_id, at_ms, id)
) strict, without rowid;

create index call_log_09_notable on call_log_09 (account_id, at_ms) where notable;

create table call_log_10 (
    account_id text not null,
    at_ms integer not null,
    id text not null,
    workspace_id text not null,
    key_id text not null,
    model_code text not null,
    lane text not null,
    outcome text not null,
    status integer not null,
    cause text,
    scope text,
    window_s integer,
    explanation text,
    tokens_prompt integer not null,
    tokens_output integer not null,
    tokens_total integer not null,
    estimated integer not null,
    streamed integer not null,
    latency_us integer,
    ttft_us integer,
    upstream_id text,
    notable integer not null,
    primary key (account_id, at_ms, id)
) strict, without rowid;

create index call_log_10_notable on call_log_10 (account_id, at_ms) where notable;

create table call_log_11 (
    account_id text not null,
    at_ms integer not null,
    id text not null,
    workspace_id text not null,
    key_id text not null,
    model_code text not null,
    lane text not null,
    outcome text not null,
    status integer not null,
    cause text,
    scope text,
    window_s integer,
    explanation text,
    tokens_prompt integer not null,
    tokens_output integer not null,
    tokens_total integer not null,
    estimated integer not null,
    streamed integer not null,
    latency_us integer,
    ttft_us integer,
    upstream_id text,
    notable integer not null,
    primary key (account_id, at_ms, id)
) strict, without rowid;

create index call_log_11_notable on call_log_11 (account_id, at_ms) where notable;

create table call_log_12 (
    account_id text not null,
    at_ms integer not null,
    id text not null,
    workspace_id text not null,
    key_id text not null,
    model_code text not null,
    lane text not null,
    outcome text not null,
    status integer not null,
    cause text,
    scope text,
    window_s integer,
    explanation text,
    tokens_prompt integer not null,
    tokens_output integer not null,
    tokens_total integer not null,
    estimated integer not null,
    streamed integer not null,
    latency_us integer,
    ttft_us integer,
    upstream_id text,
    notable integer not null,
    primary key (account_id, at_ms, id)
) strict, without rowid;

create index call_log_12_notable on call_log_12 (account_id, at_ms) where notable;

create table call_log_13 (
    account_id text not null,
    at_ms integer not null,
    id text not null,
    workspace_id text not null,
    key_id text not null,
    model_code text not null,
    lane text not null,
    outcome text not null,
    status integer not null,
    cause text,
    scope text,
    window_s integer,
    explanation text,
    tokens_prompt integer not null,
    tokens_output integer not null,
    tokens_total integer not null,
    estimated integer not null,
    streamed integer not null,
    latency_us integer,
    ttft_us integer,
    upstream_id text,
    notable integer not null,
    primary key (account_id, at_ms, id)
) strict, without rowid;

create index call_log_13_notable on call_log_13 (account_id, at_ms) where notable;

create table call_log_14 (
    account_id text not null,
    at_ms integer not null,
    id text not null,
    workspace_id text not null,
    key_id text not null,
    model_code text not null,
    lane text not null,
    outcome text not null,
    status integer not null,
    cause text,
    scope text,
    window_s integer,
    explanation text,
    tokens_prompt integer not null,
    tokens_output integer not null,
    tokens_total integer not null,
    estimated integer not null,
    streamed integer not null,
    latency_us integer,
    ttft_us integer,
    upstream_id text,
    notable integer not null,
    primary key (account_id, at_ms, id)
) strict, without rowid;

create index call_log_14_notable on call_log_14 (account_id, at_ms) where notable;

create table call_log_15 (
    account_id text not null,
    at_ms integer not null,
    id text not null,
    workspace_id text not null,
    key_id text not null,
    model_code text not null,
    lane text not null,
    outcome text not null,
    status integer not null,
    cause text,
    scope text,
    window_s integer,
    explanation text,
    tokens_prompt integer not null,
    tokens_output integer not null,
    tokens_total integer not null,
    estimated integer not null,
    streamed integer not null,
    latency_us integer,
    ttft_us integer,
    upstream_id text,
    notable integer not null,
    primary key (account_id, at_ms, id)
) strict, without rowid;

create index call_log_15_notable on call_log_15 (account_id, at_ms) where notable;
