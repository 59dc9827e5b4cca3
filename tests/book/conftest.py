"""Fixtures of the book's tests: the built site, and miniature books."""

from minibook import mini_book, site

__all__ = ["mini_book", "site"]
