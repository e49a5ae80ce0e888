"""What the callbacks cost, measured."""
