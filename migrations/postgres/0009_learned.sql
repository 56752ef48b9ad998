-- A model's prompt factor may be learned before any of its calls ended well; then nothing is known of its output yet.
alter table model_learned alter column output_tokens drop not null;
