"""A program as a user writes it."""

from served import Sample

from wispy import RPCWebApp

RPCWebApp(sample=Sample()).run()
