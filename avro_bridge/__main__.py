"""Entry point of ``python -m avro_bridge``."""

from avro_bridge.cli import main

main()
