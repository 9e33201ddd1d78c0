"""How the engine behaves: what a gradient formula alone does not show."""
