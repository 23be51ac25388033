"""Codecs x images -> rows."""
