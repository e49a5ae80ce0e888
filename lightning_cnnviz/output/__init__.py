"""Output: the job queue, the event file, and a sink for each of the trainer's loggers."""
