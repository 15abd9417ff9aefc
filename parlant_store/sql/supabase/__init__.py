"""SQL for a Supabase project, rendered from the models with no server."""
