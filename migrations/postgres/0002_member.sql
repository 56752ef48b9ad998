-- Who signs in, and their sessions. Neither passwords nor session ids are stored, only what verifies them.

create table member (
    id text primary key,
    account_id text not null references account (id),
    email text not null,
    email_key text not null unique,
    -- Argon2id in PHC form; null until an invitation is accepted.
    password_hash text,
    role text not null,
    workspace_id text references workspace (id),
    created_at bigint not null,
    last_sign_in_at bigint,
    -- SHA-256 of the invitation's token.
    invite_digest bytea unique,
    invite_expires_at bigint
);

create index member_by_account on member (account_id, email_key);

create table session (
    -- SHA-256 of the id in the cookie, so that a copy of the database signs nobody in.
    digest bytea primary key,
    member_id text references member (id) on delete cascade,
    expires_at bigint not null,
    content text not null
);

create index session_by_member on session (member_id);

create index session_by_expiry on session (expires_at);
