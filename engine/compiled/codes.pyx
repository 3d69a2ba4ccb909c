# cython: language_level=3
"""The numbers of `codes.pxd` for Python, so that a test can hold them against the law's vocabularies."""
