"""Models, data, readers and scripts that several tests share."""
