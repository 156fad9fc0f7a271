"""SavedModels on disk, whoever wrote them, read without loading TensorFlow: what is in them, whether it is whole,
what tells two of them apart.
"""
