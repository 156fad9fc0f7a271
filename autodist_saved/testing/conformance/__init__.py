"""What every implementation of a seam does, as tests that pytest collects.

A new source, target, description or cut is right when a subclass of its conformance class, with the methods filled in
that raise ``NotImplementedError`` there, passes.
"""
