class RecipeError(Exception):
    """What the user can put right: shown as one line on stderr, with exit code 2 and no traceback."""
