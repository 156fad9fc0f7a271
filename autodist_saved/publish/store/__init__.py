"""Object stores, through fsspec: models are uploaded, the graphs last."""
