"""What runs in the containers: each service turns its environment into a configuration and becomes its program.

Importing this package and the module of one service imports nothing of the others: the agent's image has Flume's
packages only, the other image those of all.
"""
