"""Paths of the development environment."""

import os
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent

VENV = PROJECT / ".venv"
"""The one virtual environment: for the persister, the tests, and the wheels of Java and Node."""

HOME = Path(os.environ.get("DEV_HOME") or PROJECT / ".dev").resolve()
"""What is installed besides: Kafka's jars, the stand-in's modules. DEV_HOME moves it."""
