"""Pictures as pure functions: tensors in, a uint8 image or numbers out. No Lightning, no logger."""
