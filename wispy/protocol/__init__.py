"""The pure rules of wispy: messages, codecs, sessions, ownership. No I/O, and no clock: time is an argument."""
