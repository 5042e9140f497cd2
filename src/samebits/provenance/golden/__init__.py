"""First losses of recipes, compared step by step."""
