"""What a run has logged as files: pictures, films, numbers, projections, tables and charts. Without PyTorch."""
