-- Each opening of the database writes rows of its own into the roll-ups. When an hour or a day is over they become one row;
-- up to here that is done.
create table rollup_merged (
    -- The length of the rows.
    level_ms integer primary key,
    until_ms integer not null
) strict;
