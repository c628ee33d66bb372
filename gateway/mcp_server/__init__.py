"""Forecasts for language models: the Model Context Protocol at /mcp, over the same service as the routes.

Nothing here is imported before the server is built, which happens beside the start of the gateway (`endpoint`): the
protocol's package takes a third of a second to load, and no reader of the routes should wait for it.
"""
