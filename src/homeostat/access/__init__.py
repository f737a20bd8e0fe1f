"""The data path for applications, and the agent that reports from inside them."""
