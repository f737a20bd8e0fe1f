"""From what the operator holds to what the pages and the API show; it only looks."""
