-- Keys of model clients. The secret is shown once; what is stored verifies it and shows its first characters.

create table api_key (
    id text primary key,
    account_id text not null references account (id),
    workspace_id text not null references workspace (id),
    name text not null,
    prefix text not null,
    digest bytea not null unique,
    error_dialect text not null,
    created_at bigint not null,
    created_by text not null,
    expires_at bigint,
    last_used_at bigint,
    revoked_at bigint
);

create index api_key_by_workspace on api_key (workspace_id, created_at);

create index api_key_by_account on api_key (account_id, created_at);
