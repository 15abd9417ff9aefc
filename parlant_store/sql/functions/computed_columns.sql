-- The triggers before each write of a session or a thread, which set the columns that are computed
-- from others (parlant_store/sql/computed_columns.py), whatever values the statement has for them.

create or replace function {in_schema}parlant_store_session_compute() returns trigger
language plpgsql{search_path} as $$
begin
    new.active_minute := {minute_new};
    new.framework := {framework_of_new};
    new.length_class := {length_of_new};
    return new;
end $$;

create or replace function {in_schema}parlant_store_thread_compute() returns trigger
language plpgsql{search_path} as $$
begin
    new.active_minute := {minute_new};
    return new;
end $$;
