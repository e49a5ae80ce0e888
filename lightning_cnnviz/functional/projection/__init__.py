"""Projection of activations to the plane: PCA, t-SNE and UMAP layouts, their quality, charts and animations."""
