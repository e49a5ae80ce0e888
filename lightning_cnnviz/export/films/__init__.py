"""The pictures of a tag as a film. Frames are read, encoded and written one at a time."""
