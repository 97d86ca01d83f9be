"""The services in the containers: each turns its environment variables into a configuration and starts its program.

The module of one service imports nothing of the other services: the agent's image has only the packages that the agent
needs, the Spark image has all of them.
"""
