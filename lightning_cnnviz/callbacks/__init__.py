"""The callbacks: one thin file per visual, the twin of its room in `functional`."""
