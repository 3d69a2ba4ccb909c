from engine.compiled.tape import EventTape
from engine.messages import Command, Event

class WiredTape(EventTape):
    def write(self, event: Event) -> None: ...

def command(record: bytes | bytearray | memoryview) -> tuple[int, Command] | None: ...
