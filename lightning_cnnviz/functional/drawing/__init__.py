"""Turns values into pixels: the colours, tiles, text and charts that all visualizations are built from."""
