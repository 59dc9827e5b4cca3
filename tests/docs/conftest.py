"""Fixtures of the documents' tests: those of the book's."""

from minibook import mini_book, site

__all__ = ["mini_book", "site"]
