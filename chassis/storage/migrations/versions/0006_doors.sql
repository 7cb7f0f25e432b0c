-- The role that serves does not own these tables (docs/decisions/0015). What it may do beyond its grants it does through
-- functions that run as their owner. Their search path is fixed, for a caller's own would put its tables before ours.

-- So nobody but the append function gives an event its number and its time.
ALTER FUNCTION append(jsonb) SECURITY DEFINER SET search_path = public, pg_temp;
ALTER FUNCTION remember(text, text, jsonb) SECURITY DEFINER SET search_path = public, pg_temp;

-- Make the schema of a generation, which belongs to the caller. CREATE on the database would let it install extensions.
CREATE FUNCTION make_generation(projection text, generation integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE format('CREATE SCHEMA %I AUTHORIZATION %I', projection || '_g' || generation, session_user);
END $$;

REVOKE EXECUTE ON FUNCTION append(jsonb), remember(text, text, jsonb), make_generation(text, integer) FROM PUBLIC;
