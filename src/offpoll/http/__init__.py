"""The HTTP interface: `endpoint` decides every answer, `asgi` is one way to serve it."""
