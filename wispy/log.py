"""Logging: one logger, plain lines, set up once by each process from `logging_config`.

Rules:
- Modules log to `logging.getLogger("wispy.<module>")`; nothing is configured at import.
- The configured logger (`web` in the seed) is what the application logs to; wispy's own
  loggers share its level and stream.
- A line holds no secret: passwords inside URLs are masked here too, as the last gate.
"""
