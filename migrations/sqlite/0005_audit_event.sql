-- Who changed what, from what to what. Written in the transaction of the change, never edited.

create table audit_event (
    id text primary key,
    account_id text not null references account (id),
    at_ms integer not null,
    actor text not null,
    action text not null,
    object_kind text not null,
    object text not null,
    before_json text,
    after_json text,
    request_id text
) strict;

create index audit_event_by_time on audit_event (account_id, at_ms, id);
