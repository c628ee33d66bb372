"""The pages: Jinja templates, own scripts and styles, and the libraries that set-up put beside them."""
