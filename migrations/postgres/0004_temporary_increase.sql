-- Temporary increases and their history. A row's request is never edited; only what became of it is.

create table temporary_increase (
    id text primary key,
    account_id text not null references account (id),
    model_code text not null,
    requested_at bigint not null,
    requested_by text not null,
    former_tpm bigint not null,
    tpm bigint not null,
    valid_until bigint not null,
    state text not null,
    ended_at bigint,
    ended_by text,
    -- Inactivity counts from here when someone chose to keep the increase.
    kept_at bigint,
    peak_used bigint not null
);

-- At most one is in force for a model.
create unique index temporary_increase_active on temporary_increase (account_id, model_code) where state = 'active';

create index temporary_increase_history on temporary_increase (account_id, requested_at, id);

-- The highest sliding 60 s of tokens seen in each hour: what inactivity is judged by, and what the dialog shows.
create table model_peak (
    account_id text not null,
    model_code text not null,
    at_ms bigint not null,
    tokens bigint not null,
    primary key (account_id, model_code, at_ms)
);
