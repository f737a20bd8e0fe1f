"""The page and the API, on 127.0.0.1 only."""
