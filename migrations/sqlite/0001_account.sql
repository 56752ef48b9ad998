-- What an installation configures: accounts, where their models are called, and who may call which model how much.

create table installation (
    id integer primary key check (id = 1),
    -- Bumped by every committed edit, so that a running process notices changes by reading one row.
    revision integer not null
) strict;

insert into installation (id, revision) values (1, 0);

create table account (
    id text primary key,
    name text not null,
    name_key text not null unique,
    created_at integer not null,
    increase_validity_days integer not null,
    inactivity_days integer not null,
    max_workspaces integer not null,
    max_keys integer not null,
    max_name_length integer not null,
    revision integer not null
) strict;

create table provider (
    id text primary key,
    account_id text not null references account (id),
    name text not null,
    openai_base_url text,
    dashscope_base_url text,
    anthropic_base_url text,
    -- Sealed: nonce, ciphertext and tag. Never in the clear.
    credential blob,
    created_at integer not null,
    revision integer not null,
    unique (account_id, name)
) strict;

create table model (
    account_id text not null references account (id),
    code text not null,
    provider_id text not null references provider (id),
    upstream text not null,
    metering text not null,
    rpm integer not null,
    -- Both are null where the model is metered in calls.
    tpm integer,
    tpm_upper_limit integer,
    backup text,
    fallback integer not null,
    default_output_tokens integer not null,
    created_at integer not null,
    revision integer not null,
    primary key (account_id, code)
) strict;

-- What the limiter learned of a model; apart from it, since the statistics change it and people do not.
create table model_learned (
    account_id text not null,
    model_code text not null,
    -- Millionths of the prompt estimate's factor.
    factor_ppm integer not null,
    output_tokens integer not null,
    at_ms integer not null,
    primary key (account_id, model_code)
) strict;

create table workspace (
    id text primary key,
    account_id text not null references account (id),
    name text not null,
    -- The name in lower case: two names that differ in case alone would be taken for one another.
    name_key text not null,
    is_default integer not null,
    created_at integer not null,
    archived_at integer,
    revision integer not null
) strict;

create unique index workspace_by_name on workspace (account_id, name_key) where archived_at is null;

create unique index workspace_default on workspace (account_id) where is_default;

-- A row is the permission; its limits are optional.
create table workspace_limit (
    workspace_id text not null references workspace (id),
    model_code text not null,
    account_id text not null,
    rpm integer,
    tpm integer,
    primary key (workspace_id, model_code),
    foreign key (account_id, model_code) references model (account_id, code)
) strict;

-- Pages compare one model's limits across workspaces; without this they scan every workspace.
create index workspace_limit_by_model on workspace_limit (account_id, model_code);
