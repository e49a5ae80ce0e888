"""What is wrong with a training, told from measurements: evidence, rules and findings."""
