-- A refusal is found by the id its client got, and in the list of its workspace, however many calls others make; so these
-- two indexes hold refusals alone. The first has no account in front: SQLite then takes the primary key, which begins with it,
-- and visits every call of the account. A call that the log had no room for is at least counted, so that a page can say so.

alter table call_log_00 add column fell_back boolean not null default false;
alter table call_log_00 add column retries bigint not null default 0;
create index refusal_00_by_id on call_log_00 (id) where outcome = 'refused';
create index refusal_00_by_workspace on call_log_00 (account_id, workspace_id, at_ms, id) where outcome = 'refused';

alter table call_log_01 add column fell_back boolean not null default false;
alter table call_log_01 add column retries bigint not null default 0;
create index refusal_01_by_id on call_log_01 (id) where outcome = 'refused';
create index refusal_01_by_workspace on call_log_01 (account_id, workspace_id, at_ms, id) where outcome = 'refused';

alter table call_log_02 add column fell_back boolean not null default false;
alter table call_log_02 add column retries bigint not null default 0;
create index refusal_02_by_id on call_log_02 (id) where outcome = 'refused';
create index refusal_02_by_workspace on call_log_02 (account_id, workspace_id, at_ms, id) where outcome = 'refused';

alter table call_log_03 add column fell_back boolean not null default false;
alter table call_log_03 add column retries bigint not null default 0;
create index refusal_03_by_id on call_log_03 (id) where outcome = 'refused';
create index refusal_03_by_workspace on call_log_03 (account_id, workspace_id, at_ms, id) where outcome = 'refused';

alter table call_log_04 add column fell_back boolean not null default false;
alter table call_log_04 add column retries bigint not null default 0;
create index refusal_04_by_id on call_log_04 (id) where outcome = 'refused';
create index refusal_04_by_workspace on call_log_04 (account_id, workspace_id, at_ms, id) where outcome = 'refused';

alter table call_log_05 add column fell_back boolean not null default false;
alter table call_log_05 add column retries bigint not null default 0;
create index refusal_05_by_id on call_log_05 (id) where outcome = 'refused';
create index refusal_05_by_workspace on call_log_05 (account_id, workspace_id, at_ms, id) where outcome = 'refused';

alter table call_log_06 add column fell_back boolean not null default false;
alter table call_log_06 add column retries bigint not null default 0;
create index refusal_06_by_id on call_log_06 (id) where outcome = 'refused';
create index refusal_06_by_workspace on call_log_06 (account_id, workspace_id, at_ms, id) where outcome = 'refused';

alter table call_log_07 add column fell_back boolean not null default false;
alter table call_log_07 add column retries bigint not null default 0;
create index refusal_07_by_id on call_log_07 (id) where outcome = 'refused';
create index refusal_07_by_workspace on call_log_07 (account_id, workspace_id, at_ms, id) where outcome = 'refused';

alter table call_log_08 add column fell_back boolean not null default false;
alter table call_log_08 add column retries bigint not null default 0;
create index refusal_08_by_id on call_log_08 (id) where outcome = 'refused';
create index refusal_08_by_workspace on call_log_08 (account_id, workspace_id, at_ms, id) where outcome = 'refused';

alter table call_log_09 add column fell_back boolean not null default false;
alter table call_log_09 add column retries bigint not null default 0;
create index refusal_09_by_id on call_log_09 (id) where outcome = 'refused';
create index refusal_09_by_workspace on call_log_09 (account_id, workspace_id, at_ms, id) where outcome = 'refused';

alter table call_log_10 add column fell_back boolean not null default false;
alter table call_log_10 add column retries bigint not null default 0;
create index refusal_10_by_id on call_log_10 (id) where outcome = 'refused';
create index refusal_10_by_workspace on call_log_10 (account_id, workspace_id, at_ms, id) where outcome = 'refused';

alter table call_log_11 add column fell_back boolean not null default false;
alter table call_log_11 add column retries bigint not null default 0;
create index refusal_11_by_id on call_log_11 (id) where outcome = 'refused';
create index refusal_11_by_workspace on call_log_11 (account_id, workspace_id, at_ms, id) where outcome = 'refused';

alter table call_log_12 add column fell_back boolean not null default false;
alter table call_log_12 add column retries bigint not null default 0;
create index refusal_12_by_id on call_log_12 (id) where outcome = 'refused';
create index refusal_12_by_workspace on call_log_12 (account_id, workspace_id, at_ms, id) where outcome = 'refused';

alter table call_log_13 add column fell_back boolean not null default false;
alter table call_log_13 add column retries bigint not null default 0;
create index refusal_13_by_id on call_log_13 (id) where outcome = 'refused';
create index refusal_13_by_workspace on call_log_13 (account_id, workspace_id, at_ms, id) where outcome = 'refused';

alter table call_log_14 add column fell_back boolean not null default false;
alter table call_log_14 add column retries bigint not null default 0;
create index refusal_14_by_id on call_log_14 (id) where outcome = 'refused';
create index refusal_14_by_workspace on call_log_14 (account_id, workspace_id, at_ms, id) where outcome = 'refused';

alter table call_log_15 add column fell_back boolean not null default false;
alter table call_log_15 add column retries bigint not null default 0;
create index refusal_15_by_id on call_log_15 (id) where outcome = 'refused';
create index refusal_15_by_workspace on call_log_15 (account_id, workspace_id, at_ms, id) where outcome = 'refused';

create table call_log_gap (
    account_id text not null,
    -- The minute of the calls.
    at_ms bigint not null,
    workspace_id text not null,
    -- Refused and failed calls, or all others.
    notable boolean not null,
    calls bigint not null,
    primary key (account_id, at_ms, workspace_id, notable)
);
