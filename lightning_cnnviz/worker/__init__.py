"""The helper process that draws pictures and computes layouts while training continues."""
