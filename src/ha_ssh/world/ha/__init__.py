"""Home Assistant from a laptop: sign-in, the routes to the Supervisor, its refusals."""
