"""Publishes to object stores, through fsspec: uploads a model, its graphs last."""
