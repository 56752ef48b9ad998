-- What an installation configures: accounts, where their models are called, and who may call which model how much.

create table installation (
    id bigint primary key check (id = 1),
    -- Bumped by every committed edit, so that a running process notices changes by reading one row.
    revision bigint not null
);

insert into installation (id, revision) values (1, 0);

create table account (
    id text primary key,
    name text not null,
    name_key text not null unique,
    created_at bigint not null,
    increase_validity_days bigint not null,
    inactivity_days bigint not null,
    max_workspaces bigint not null,
    max_keys bigint not null,
    max_name_length bigint not null,
    revision bigint not null
);

create table provider (
    id text primary key,
    account_id text not null references account (id),
    name text not null,
    openai_base_url text,
    dashscope_base_url text,
    anthropic_base_url text,
    -- Sealed: nonce, ciphertext and tag. Never in the clear.
    credential bytea,
    created_at bigint not null,
    revision bigint not null,
    unique (account_id, name)
);

create table model (
    account_id text not null references account (id),
    code text not null,
    provider_id text not null references provider (id),
    upstream text not null,
    metering text not null,
    rpm bigint not null,
    -- Both are null where the model is metered in calls.
    tpm bigint,
    tpm_upper_limit bigint,
    backup text,
    fallback boolean not null,
    default_output_tokens bigint not null,
    created_at bigint not null,
    revision bigint not null,
    primary key (account_id, code)
);

-- What the limiter learned of a model; apart from it, since the statistics change it and people do not.
create table model_learned (
    account_id text not null,
    model_code text not null,
    -- Millionths of the prompt estimate's factor.
    factor_ppm bigint not null,
    output_tokens bigint not null,
    at_ms bigint not null,
    primary key (account_id, model_code)
);

create table workspace (
    id text primary key,
    account_id text not null references account (id),
    name text not null,
    -- The name in lower case: two names that differ in case alone would be taken for one another.
    name_key text not null,
    is_default boolean not null,
    created_at bigint not null,
    archived_at bigint,
    revision bigint not null
);

create unique index workspace_by_name on workspace (account_id, name_key) where archived_at is null;

create unique index workspace_default on workspace (account_id) where is_default;

-- A row is the permission; its limits are optional.
create table workspace_limit (
    workspace_id text not null references workspace (id),
    model_code text not null,
    account_id text not null,
    rpm bigint,
    tpm bigint,
    primary key (workspace_id, model_code),
    foreign key (account_id, model_code) references model (account_id, code)
);

-- Pages compare one model's limits across workspaces; without this they scan every workspace.
create index workspace_limit_by_model on workspace_limit (account_id, model_code);
