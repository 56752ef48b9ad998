-- A model's prompt factor may be learned before any of its calls ended well; then nothing is known of its output yet.
create table model_learned_anew (
    account_id text not null,
    model_code text not null,
    -- Millionths of the prompt estimate's factor.
    factor_ppm integer not null,
    -- Null until a call ended well.
    output_tokens integer,
    at_ms integer not null,
    primary key (account_id, model_code)
) strict;

insert into model_learned_anew (account_id, model_code, factor_ppm, output_tokens, at_ms)
select account_id, model_code, factor_ppm, output_tokens, at_ms
from model_learned;

drop table model_learned;

alter table model_learned_anew rename to model_learned;
