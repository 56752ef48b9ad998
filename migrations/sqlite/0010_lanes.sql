-- Calls beside the limits: whose the files, batches and tasks are that were made at a provider, so that for any other
-- workspace they do not exist; and time-outs of a model's own, where the settings' would be too short or too long.

create table provider_object (
    workspace_id text not null references workspace (id),
    -- `file`, `batch` or `task`.
    kind text not null,
    -- The provider's id of it.
    object_id text not null,
    provider_id text not null references provider (id),
    -- The one model it is of; null where that is none or several.
    model_code text,
    -- Of a file: whether each of its lines was checked, so that a batch may be made of it.
    checked integer not null,
    created_at integer not null,
    -- Of a batch: when the usage it told was counted.
    counted_at integer,
    primary key (workspace_id, kind, object_id)
) strict, without rowid;

-- Null: as the settings have it.
alter table model add column first_byte_timeout_s integer;

alter table model add column stream_silence_s integer;
