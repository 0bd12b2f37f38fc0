"""Everything between wispy and Redis: links, scripts, keys, and the embedded server. The only importer of hiredis."""
