class RecipeError(Exception):
    """An error that the user can fix; shown as one line on stderr, with exit code 2 and no traceback."""
