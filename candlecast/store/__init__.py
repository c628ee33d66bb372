"""Postgres, by SQLAlchemy Core: one module of functions per noun; the SQL lies in `sql/`, a statement per file."""
