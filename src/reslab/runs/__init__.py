"""A run on disk: `run.Run` reads it, `directory.RunDirectory` writes it, `files` lists it."""
