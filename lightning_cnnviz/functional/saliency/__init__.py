"""Saliency: which places of an input speak for a class."""
