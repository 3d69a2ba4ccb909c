"""Tests of the agent's loop and of the `baron` command, against a scripted Monarch and with real sandboxes."""
