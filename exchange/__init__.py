"""The exchange around the engine: gateway, sequencer, log, registry and read models."""
